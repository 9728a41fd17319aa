"""`replayt examples`: the bundled workflows, and copies of them to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from replayt_cli.arguments.options import Debug, OptionalText, Output, OutputAs


def examples(
    name: Annotated[
        OptionalText,
        typer.Argument(
            metavar="[NAME]",
            help="One of them: its name, a part of it, or its number.  [default: all]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        OptionalText,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Copy it there with its inputs; created if it is missing.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what is there.", show_default=False)
    ] = False,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """List the bundled workflows, say what one is about, or copy it.

    They run offline and stand in the order of the tutorial. Without --out nothing is written.
    """
    from replayt_cli import exit_codes
    from replayt_cli.errors import UsageError
    from replayt_cli.project.bundled_examples import copy_examples, find_example, load_examples
    from replayt_cli.render.examples import (
        example_document,
        example_entry,
        print_copies,
        print_example,
        print_examples,
    )
    from replayt_cli.render.json import print_json

    if out is not None and not out.strip():
        raise UsageError("--out is empty: give a directory, such as tutorial")
    if force and out is None:
        raise UsageError("--force overwrites copies: give --out DIR too")
    chosen = load_examples()
    if name is not None:
        chosen = (find_example(chosen, name),)
    if out is not None:
        written = copy_examples(chosen, out, force=force)
        if output is Output.json:
            print_json(
                {
                    "examples": [example_document(example, out) for example in chosen],
                    "written": [str(path) for path in written],
                }
            )
        else:
            print_copies(chosen, out, written)
    elif name is not None:
        if output is Output.json:
            print_json(example_document(chosen[0], "."))
        else:
            print_example(chosen[0])
    elif output is Output.json:
        print_json({"examples": [example_entry(example) for example in chosen]})
    else:
        print_examples(chosen)
    return exit_codes.DONE
