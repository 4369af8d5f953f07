"""Does a long run in the simulator need more memory than a short one?"""
