"""`replayt init`: write a small project to start from."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Optional

import typer

from replayt_cli.arguments.options import Debug, OptionalText


class Service(str, Enum):
    """Where the checks of a project can run."""

    github = "github"


OptionalService = Optional[Service]  # noqa: UP045 - typer 0.12 does not read `Service | None`


def init(
    path: Annotated[
        str, typer.Option("--path", "-p", metavar="DIR", help="Where; created if it is missing.")
    ] = ".",
    template: Annotated[
        OptionalText,
        typer.Option(
            "--template",
            metavar="NAME",
            help="basic|approval|tool-using|yaml|llm|ci.  [default: basic]",
            show_default=False,
        ),
    ] = None,
    ci: Annotated[
        OptionalService,
        typer.Option(
            "--ci",
            metavar="github",
            help="Also what the service runs for every change, and a first pinned run.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what is there.", show_default=False)
    ] = False,
    debug: Debug = False,
) -> int:
    """Write a workflow, a test of it, and .env.example.

    The templates: `basic` has three states, `approval` waits for a person, `tool-using` calls a
    typed tool, `yaml` is a workflow without code, `llm` asks a model, and `ci` is `llm` with a
    pinned run that the test and GitHub execute again. In a directory that has a workflow,
    `--ci github` without `--template` adds the file for GitHub alone.

    Files that exist are left alone, and nothing is written (exit code 1).
    """
    from replayt_cli import exit_codes
    from replayt_cli.project.scaffold import write_scaffold
    from replayt_cli.render.scaffold import print_scaffold

    print_scaffold(write_scaffold(path, template, ci=ci is not None, force=force))
    return exit_codes.DONE
