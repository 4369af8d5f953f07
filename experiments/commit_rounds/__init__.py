"""Does a commit take N-1 rounds of communication?"""
