"""A run over many pictures, from the files to the written results."""
