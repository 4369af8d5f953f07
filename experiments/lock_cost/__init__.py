"""What does a turn with a lock cost?"""
