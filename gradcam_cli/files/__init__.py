"""The user's files, wherever they lie: found, named, marked and written."""
