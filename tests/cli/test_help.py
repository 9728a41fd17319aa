"""SC-117: every command has help that ends with an example."""

from __future__ import annotations

import re
import shlex

import pytest

from replayt_cli.arguments.help_examples import EXAMPLES
from replayt_cli.main import commands, groups
from tests.cli.helpers import Shell, on_terminal

PARTS = [
    f"{group.info.name} {part.callback.__name__}"
    for group in groups()
    for part in group.registered_commands
    if part.callback is not None
]
ALL = [*(command.__name__ for command in commands()), *(str(g.info.name) for g in groups()), *PARTS]
each_command = pytest.mark.parametrize("command", ALL)


@each_command
def test_help_ends_with_an_example_of_the_command(shell: Shell, command: str) -> None:
    ended = shell.call(*command.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    _, heading, examples = ended.out.rpartition("\n  Example")
    assert heading, "no example"
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    assert lines == list(EXAMPLES[command])
    assert all(
        line == f"replayt {command}" or line.startswith(f"replayt {command} ") for line in lines
    )


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("run", "replayt run [OPTIONS] TARGET"),
        ("why", "replayt why [OPTIONS] RUN_ID [STATE]"),
        ("examples", "replayt examples [OPTIONS] [NAME]"),
        ("doctor", "replayt doctor [OPTIONS]"),
        ("store copy", "replayt store copy [OPTIONS] FROM_URL TO_URL [RUN_ID]..."),
    ],
)
def test_usage_is_the_same_in_every_release_of_typer(
    shell: Shell, command: str, usage: str
) -> None:
    """Newer ones put brackets around what has its own already."""
    assert shell.call(*command.split(), "-h").out.splitlines()[0] == f"Usage: {usage}"


@each_command
def test_h_is_short_for_help(shell: Shell, command: str) -> None:
    """Also behind an option of the command line itself."""
    long, short = (shell.call(*command.split(), word) for word in ("--help", "-h"))
    assert (short.code, short.err) == (0, "")
    assert short.out == long.out
    assert re.search(r"^ +-h, --help +Show this message and exit\.$", short.out, re.MULTILINE)
    assert shell.call("--debug", *command.split(), "-h").out == long.out


def test_h_alone_is_what_the_name_alone_prints(shell: Shell) -> None:
    bare = shell.call()
    assert bare.code == 0
    assert shell.call("-h") == shell.call("--help") == bare
    assert shell.call("store") == shell.call("store", "-h")
    assert shell.fresh("-h") == bare


@each_command
def test_examples_use_options_that_the_command_has(shell: Shell, command: str) -> None:
    """A command of a group stands for the group, too."""
    for example in EXAMPLES[command]:
        _, *words = shlex.split(example)
        called = " ".join(words[:2]) if " ".join(words[:2]) in PARTS else command
        shown = shell.call(*called.split(), "--help").out
        for option in (word.partition("=")[0] for word in words if word.startswith("-")):
            assert re.search(rf"(^|\s){re.escape(option)}\b", shown), f"{example}: {option}"


def test_the_table_of_examples_names_commands_that_exist() -> None:
    assert set(EXAMPLES) == set(ALL)


@each_command
def test_help_fits_80_columns(shell: Shell, command: str) -> None:
    code, shown = on_terminal(shell, *command.split(), "--help", columns=80)
    assert code == 0
    assert max(len(line) for line in shown.replace("\r", "").split("\n")) <= 80
