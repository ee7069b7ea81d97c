"""Writes files of several drawings: videos, animations, pages and volumes."""
