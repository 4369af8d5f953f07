"""The plugins that come with Synod."""
