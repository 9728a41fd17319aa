"""The replayt command."""
