"""Where classifiers come from, and what the rest needs to know of them."""
