"""A picture as pixels: reading it, fitting it to a network's input, and the way back."""
