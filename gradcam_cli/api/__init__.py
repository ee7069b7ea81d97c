"""The interface for notebooks and programs."""
