"""What does it cost to commit?"""
