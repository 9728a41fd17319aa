"""Recorded runs as the commands that show them need them."""
