"""All of replayt under short names: re-exports only."""
