"""The run over one file of several pictures: explain all, find the common scale, draw."""
