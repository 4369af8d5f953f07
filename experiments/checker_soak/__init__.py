"""Every checker against a twin that tries every order."""
