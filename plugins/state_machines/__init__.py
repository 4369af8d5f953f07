"""State machines that come with Synod."""
