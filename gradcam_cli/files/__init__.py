"""The user's files in any storage: finding, naming, marking and writing them."""
