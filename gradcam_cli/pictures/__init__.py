"""A picture as pixels: read, fitted to a network's input, and the way back."""
