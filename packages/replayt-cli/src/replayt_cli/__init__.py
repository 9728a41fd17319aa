"""The `replayt` command: `main.main` runs it, `main.app` is the Typer application."""

__all__: list[str] = []
