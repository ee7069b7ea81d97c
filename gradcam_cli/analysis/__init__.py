"""What many pictures say about a network: audits of one, comparisons of two."""
