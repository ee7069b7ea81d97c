"""Loads classifiers, and describes what the rest of the package needs to know of them."""
