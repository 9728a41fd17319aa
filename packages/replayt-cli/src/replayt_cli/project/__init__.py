"""The project around the workflows: its configuration, its beginnings, this machine."""
