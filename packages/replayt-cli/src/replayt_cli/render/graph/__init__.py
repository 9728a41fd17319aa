"""The drawn graph."""
