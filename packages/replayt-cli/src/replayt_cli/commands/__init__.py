"""One module a command: its signature, and the few lines that put the pieces together.

Everything heavy is imported inside the functions, so that `--help` and `runs` start fast.
"""
