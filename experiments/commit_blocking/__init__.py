"""Which commit protocol blocks, and for how long?"""
