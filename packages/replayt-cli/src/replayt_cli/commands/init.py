"""`replayt init`: write a small workflow to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.options import Debug


def init(
    path: Annotated[
        str, typer.Option("--path", "-p", metavar="DIR", help="Where; created if it is missing.")
    ] = ".",
    template: Annotated[
        str,
        typer.Option("--template", metavar="NAME", help="basic|approval|tool-using."),
    ] = "basic",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what is there.", show_default=False)
    ] = False,
    debug: Debug = False,
) -> int:
    """Write workflow.py and .env.example."""
    from replayt_cli import exit_codes
    from replayt_cli.render.text import echo, escape, hint
    from replayt_cli.scaffold import write_scaffold
    from replayt_cli.stores import command_line

    written = write_scaffold(path, template, force=force)
    for place in written:
        echo(f"wrote {escape(str(place))}")
    command = command_line("replayt", "run", str(written[0]), "--inputs-json", "{}")
    hint(f"next: {command}")
    return exit_codes.DONE
