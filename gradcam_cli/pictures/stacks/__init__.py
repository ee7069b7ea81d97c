"""Files of several pictures: videos, animations, pages and volumes."""
