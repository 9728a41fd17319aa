"""Checking what is recorded."""
