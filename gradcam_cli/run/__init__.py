"""A run over many pictures, from input files to written results."""
