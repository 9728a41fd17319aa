"""Executing a run from the command line: its process, its signals, what is shown meanwhile."""
