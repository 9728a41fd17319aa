"""Runs and graphs in a notebook (extra `notebook`)."""

from replayt_cli.notebook import display_graph, display_run

__all__ = ["display_graph", "display_run"]
