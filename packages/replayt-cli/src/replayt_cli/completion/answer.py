"""What a shell asks and what it is told: the words in the environment, the answer on stdout.

`WORDS` are the words before the one to complete, a line each, and `WORD` is that one. Bash has no
list of words, but `LINE` up to the cursor, and its `WORD` is the piece that it would replace.

The first line of an answer says who completes: `values` (the lines that follow do, each a word, a
tab and its help), or the shell itself, `files` or `dirs`. The answer to `bash` has words alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from replayt_cli.completion.bash_line import BashLine, insertion, read_line
from replayt_cli.completion.words import Candidate, Completion, complete

ASKED = "_REPLAYT_COMPLETE"
WORDS = "_REPLAYT_WORDS"
LINE = "_REPLAYT_LINE"
WORD = "_REPLAYT_WORD"
_PLAIN = re.compile(r"[\w.:/=+-]+", re.ASCII)
_SINGLE_QUOTES = re.compile("['\u2018-\u201b]")
"""PowerShell takes the typographic ones for the plain one."""


def answer(
    env: Mapping[str, str],
    application: Callable[[Sequence[str]], Any],
    summary: Sequence[Candidate],
) -> str:
    """The answer to the question in the environment.

    `application` makes the group with the command that some words call, `summary` lists all
    commands, which need not be made for that.
    """
    shell = env[ASKED]
    line = read_line(env[LINE]) if LINE in env else None
    before, word = _question(env, line)
    if not before and not word.startswith("-"):
        found = Completion(candidates=[item for item in summary if item.value.startswith(word)])
    else:
        from replayt_cli.completion.look_up import look_up

        found = complete(application(before), before, word, look_up)
    shown = (_shown(item, shell, line, env.get(WORD, "")) for item in found.candidates)
    return "".join(f"{text}\n" for text in (found.kind, *shown) if text is not None)


def answer_quietly(
    env: Mapping[str, str],
    application: Callable[[Sequence[str]], Any],
    summary: Sequence[Candidate],
) -> None:
    """Print the answer, or nothing: a shell that completes is no place for error messages."""
    with (
        contextlib.suppress(Exception),
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stderr(nowhere),
    ):
        sys.stdout.write(answer(env, application, summary))
        sys.stdout.flush()


def _question(env: Mapping[str, str], line: BashLine | None) -> tuple[list[str], str]:
    """The words before the one to complete, without the name of the program, and that one."""
    if line is None:
        return env.get(WORDS, "").split("\n")[1:], env.get(WORD, "")
    return list(line.before[1:]), line.word if line.before else ""


def _shown(item: Candidate, shell: str, line: BashLine | None, typed: str) -> str | None:
    """A line of the answer; None where the shell could not be handed that word."""
    if shell == "bash" and line is not None:
        return insertion(item.value, line, typed)
    if shell == "powershell":
        return f"{_quoted(item.value)}\t{item.help}"
    if shell == "fish" and item.value.startswith("~"):
        return None  # fish escapes what it inserts, but for this, which is a home directory then
    return f"{item.value}\t{item.help}"


def _quoted(value: str) -> str:
    """A word that PowerShell takes as it is: `@` begins something else there."""
    if _PLAIN.fullmatch(value):
        return value
    return "'" + _SINGLE_QUOTES.sub(r"\g<0>\g<0>", value) + "'"
