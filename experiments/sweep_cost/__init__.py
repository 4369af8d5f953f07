"""What a sweep costs beyond its runs."""
