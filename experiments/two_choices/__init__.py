"""What does a second choice bring, and what is it worth when loads are known late?"""
