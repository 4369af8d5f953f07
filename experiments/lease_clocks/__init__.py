"""Which errors of clocks make leases unsafe?"""
