"""Completion in the shell: what may come next on a command line, and the scripts that ask."""
