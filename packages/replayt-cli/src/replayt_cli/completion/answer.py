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
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from replayt_cli.completion.words import Candidate, Completion, complete

ASKED = "_REPLAYT_COMPLETE"
WORDS = "_REPLAYT_WORDS"
LINE = "_REPLAYT_LINE"
WORD = "_REPLAYT_WORD"
_PLAIN = re.compile(r"[\w.:/=+-]+", re.ASCII)
_SPECIAL = re.compile(r"[^\w.:/=+@%,-]")
"""What may mean something to bash."""


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
    before, word, quoted = _question(env)
    if not before and not word.startswith("-"):
        found = Completion(candidates=[item for item in summary if item.value.startswith(word)])
    else:
        from replayt_cli.completion.look_up import look_up

        found = complete(application(before), before, word, look_up)
    if shell == "bash":
        tails = [_tail(item.value, word, env.get(WORD, "")) for item in found.candidates]
        shown = tails if quoted else [_SPECIAL.sub(r"\\\g<0>", tail) for tail in tails]
    elif shell == "powershell":
        shown = [f"{_quoted(item.value)}\t{item.help}" for item in found.candidates]
    else:
        shown = [f"{item.value}\t{item.help}" for item in found.candidates]
    return "".join(f"{line}\n" for line in [found.kind, *shown])


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


def _question(env: Mapping[str, str]) -> tuple[list[str], str, bool]:
    """The words before the one to complete, without the name of the program; that one; and whether
    it stands behind an open quote.
    """
    if LINE not in env:
        return env.get(WORDS, "").split("\n")[1:], env.get(WORD, ""), False
    words, quoted = _split(env[LINE])
    return words[1:-1], words[-1] if len(words) > 1 else "", quoted


def _split(line: str) -> tuple[list[str], bool]:
    """The words of a line up to the cursor; the last one may be unfinished, or empty. And whether
    a quote is open at its end.
    """
    # One more character stands for what comes next: it belongs to the last word, or begins one.
    reader = shlex.shlex(f"{line}x", posix=True, punctuation_chars=False)
    reader.whitespace_split = True
    reader.commenters = ""
    words: list[str] = []
    quoted = False
    try:
        words += iter(reader.get_token, None)
    except ValueError:
        words.append(str(reader.token))
        quoted = True
    return [*words[:-1], words[-1][:-1]], quoted


def _tail(value: str, word: str, typed: str) -> str:
    """What bash replaces: it breaks words at `=`, `:` and `@`, and knows the last piece alone."""
    piece = _split(typed)[0][-1]
    prefix = word[: len(word) - len(piece)] if word.endswith(piece) else ""
    return value.removeprefix(prefix)


def _quoted(value: str) -> str:
    """A word that PowerShell takes as it is: `@` begins something else there."""
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "''") + "'"
