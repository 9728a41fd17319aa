"""What `init` wrote, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from replayt_cli.arguments.store_choice import command_line
from replayt_cli.project.scaffold import Scaffold
from replayt_cli.render.text import echo, escape, hint, warn


def print_scaffold(scaffold: Scaffold) -> None:
    """Print the files, and on a terminal the commands that follow."""
    for place in scaffold.written:
        echo(f"wrote {escape(str(place))}")
    if scaffold.workflow.suffix == ".yaml" and find_spec("yaml") is None:
        warn("a YAML workflow needs PyYAML, which is not installed: install the extra `yaml`")
    for line in _next_steps(scaffold):
        hint(line)


def _next_steps(scaffold: Scaffold) -> Iterator[str]:
    """Lines of a terminal: commands to copy, and what is to be known about them."""
    template, workflow = scaffold.template, str(scaffold.workflow)
    folder = str(scaffold.workflow.parent)
    if template is None:
        runs = str(scaffold.workflow.with_name("runs"))
        yield f"next: {command_line('replayt', 'pin', 'RUN_ID', '--out', runs)}"
        yield "without a pinned run the check fails: there is nothing to check"
    elif template.calls_model:
        inputs = [f"{key}={value}" for key, value in template.inputs.items()]
        yield f"next: {command_line('replayt', 'run', workflow, '--input', *inputs, '--dry-run')}"
        yield "without --dry-run it calls a model; .env.example says which"
    else:
        yield f"next: {command_line('replayt', 'run', workflow, '--inputs-json', '{}')}"
        if template.waits:
            yield "it exits with 2: the run waits for a person; `replayt resume` takes the answer"
    if template is not None:
        where = [] if folder == "." else [folder]
        yield f"then: {command_line('python', '-m', 'pytest', *where)}"
    for place in scaffold.written:
        if place.suffix == ".yml":
            yield f"before you push {place}, see CHANGE THIS in it"
