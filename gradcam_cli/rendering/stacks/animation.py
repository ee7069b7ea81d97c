"""Writes animations (GIF, WebP, PNG) and TIFF files of pages."""
