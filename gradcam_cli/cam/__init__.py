"""The mathematics of class activation maps, on tensors only."""
