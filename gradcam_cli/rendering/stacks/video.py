"""Writes videos with PyAV."""
