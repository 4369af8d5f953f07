"""Is there an order of the operations, within their intervals, that a single object could have executed?"""
