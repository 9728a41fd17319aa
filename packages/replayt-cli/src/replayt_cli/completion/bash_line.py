r"""A line that bash completes: its words, the quote that is open, and what may be put there.

Bash puts a completion into the line as it is given. So it is written here for the place where it
goes, and a shell never acts on a character of it: behind an open quote `$(x)` and `it's` need other
escapes than without one. What cannot be written there is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLANKS = " \t\n"
_SPECIAL = re.compile(r"[^\w.:/=+@%,-]")
"""What may mean something to bash outside of quotes."""
_IN_DOUBLE_QUOTES = re.compile(r'[$`"\\]')
_NESTING = re.compile(r"`|\$[({\[\"']|[<>]\(")
"""What may hold quotes of its own: which one is open at the end is not certain then."""


@dataclass(frozen=True, kw_only=True)
class BashLine:
    """A line up to the cursor. `raw` is `word`, the last one, as it was typed.

    `quote` is the one that is open at the end, or empty.
    """

    before: tuple[str, ...]
    word: str
    raw: str
    quote: str
    nests: bool


def read_line(line: str) -> BashLine:
    """What bash would make of the line, without expanding anything."""
    words: list[str] = []
    word: str | None = None
    start, quote = len(line), ""
    characters = enumerate(line)
    for place, char in characters:
        if not quote and char in _BLANKS:
            if word is not None:
                words.append(word)
            word, start = None, len(line)
            continue
        if word is None:
            word, start = "", place
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == "\\" and quote != "'":
            _, escaped = next(characters, (0, ""))
            literal = quote and not _IN_DOUBLE_QUOTES.match(escaped)
            word += char + escaped if literal else escaped
        else:
            word += char
    return BashLine(
        before=tuple(words),
        word=word or "",
        raw=line[start:],
        quote=quote,
        nests=_NESTING.search(line) is not None,
    )


def insertion(value: str, line: BashLine, typed: str) -> str | None:
    """What bash puts in the place of `typed` so that the last word is `value`; None: nothing can.

    Bash breaks words at quotes, `=`, `:` and `@` as well, and replaces the last piece, `typed`.
    """
    kept = read_line(line.raw.removesuffix(typed))
    if not line.raw.endswith(typed) or kept.quote != line.quote:
        return None  # bash takes the line apart in another way
    if not value.startswith(kept.word) or not value.isprintable():
        return None
    rest = value[len(kept.word) :]
    if not line.quote:
        return _SPECIAL.sub(r"\\\g<0>", rest)
    if line.nests:
        return None if _SPECIAL.search(rest) else rest
    if line.quote == "'":
        return rest.replace("'", r"'\''")
    # The history is looked up for `!` here, and a backslash before it would stay in the word.
    return None if "!" in rest else _IN_DOUBLE_QUOTES.sub(r"\\\g<0>", rest)
