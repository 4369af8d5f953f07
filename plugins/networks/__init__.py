"""Networks that come with Synod."""
