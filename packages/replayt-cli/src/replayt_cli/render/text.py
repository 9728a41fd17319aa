"""Text for a terminal: nothing from a log reaches it raw."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import TextIO

from replayt_cli.render.columns import columns_of, fill, fitting

_COLOURS = {
    "completed": "32",
    "ok": "32",
    "failed": "31",
    "damaged": "31",
    "different": "31",
    "illegal": "31",
    "error": "31",
    "paused": "33",
    "interrupted": "33",
    "running": "36",
    "warning": "33",
    "dim": "2",
    "bold": "1",
}


def escape(text: str) -> str:
    r"""The text with everything invisible made visible, as `\x1b`.

    Control characters (line breaks among them), C1, bidirectional and zero-width characters, lone
    surrogates and unassigned ones: they can move the cursor, set titles or reorder what is read.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if unicodedata.category(char) == "Zs":
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """The text on one line, escaped; line breaks become spaces."""
    if text.isprintable():  # no line break is
        return text.strip()
    return escape(" ".join(part.strip() for part in text.splitlines() if part.strip()))


def echo(line: str = "", *, to: TextIO | None = None) -> None:
    """Print a line that holds no raw text from elsewhere."""
    from replayt_cli.errors import OutputClosed

    stream = to or sys.stdout
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def complain(message: str) -> None:
    """Say on stderr, in one line, what is wrong."""
    _to_stderr(f"replayt: {one_line(message)}")


def hint(message: str) -> None:
    """Say on stderr what helps a person; nothing where nobody is looking."""
    if is_terminal(sys.stderr):
        _to_stderr(one_line(message))


def warn(message: str) -> None:
    """Say on stderr, in one line, what the reader of the result has to know."""
    _to_stderr(f"replayt: warning: {one_line(message)}")


def _to_stderr(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def paint(text: str, style: str, *, to: TextIO | None = None) -> str:
    """The text in the colour of a status or style, where stdout is a terminal that wants it."""
    code = _COLOURS.get(style)
    if code is None or not wants_colour(to or sys.stdout):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def wants_colour(stream: TextIO) -> bool:
    """Whether colour is welcome: a terminal, not dumb, and no `NO_COLOR`."""
    return (
        is_terminal(stream)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") != "dumb"
    )


def width() -> int | None:
    """The columns of the terminal; None where stdout is none, and nothing is cut or wrapped."""
    if not is_terminal(sys.stdout):
        return None
    return max(shutil.get_terminal_size((80, 24)).columns, 40)


def cut(text: str, columns: int | None) -> str:
    """The text, cut with an ellipsis where it would not fit."""
    if columns is None or columns_of(text) <= columns:
        return text
    return text[: fitting(text, max(columns - 1, 1))] + "…"


def wrap(text: str, columns: int | None, *, indent: str) -> list[str]:
    """The text behind `indent` on as many lines as it needs; continuation lines go deeper."""
    if columns is None:
        return [indent + text]
    deeper = f"{indent}  "
    if not text.isascii() or "\x1b" in text:
        return _wrap_wide(text, columns, indent, deeper)
    return textwrap.wrap(
        text,
        columns,
        initial_indent=indent,
        subsequent_indent=deeper,
        break_on_hyphens=False,
    ) or [indent]


def _wrap_wide(text: str, columns: int, indent: str, deeper: str) -> list[str]:
    """The same for a text whose characters are not all one column wide, or coloured."""
    lines: list[str] = []
    line = indent
    for space, word in re.findall("( *)([^ ]+)", text):
        start = line if line in (indent, deeper) else line + space
        if columns_of(start + word) <= columns:
            line = start + word
            continue
        if line not in (indent, deeper):
            lines.append(line)
            line = deeper
        line += word
        while columns_of(line) > columns:
            # At least one character a line, however narrow it is.
            size = max(fitting(line, columns), len(deeper) + 1)
            lines.append(line[:size])
            line = deeper + line[size:]
    return [*lines, line] if line != deeper else lines


def hang(label: str, text: str, style: str = "") -> None:
    """The text beside its label; continuation lines stand below the text."""
    columns = width()
    # `wrap` goes two columns deeper by itself, and the first line starts there, too.
    lines = wrap(text, None if columns is None else columns - 2, indent=" " * (len(label) - 2))
    echo(paint(label, style) + lines[0].strip())
    for line in lines[1:]:
        echo(line)


def count_of(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def short_time(ts: str | None) -> str:
    """A log timestamp in UTC to the second; what is none is shown as it stands."""
    if ts is None:
        return "-"
    try:
        # Before Python 3.11 `Z` was not understood; logs of older releases have `+00:00`.
        moment = datetime.fromisoformat(ts[:-1] + "+00:00" if ts.endswith("Z") else ts)
        if moment.tzinfo is not None:
            moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
        return moment.isoformat(" ", "seconds") + "Z"
    except (ValueError, OverflowError):
        return escape(ts)


def bytes_of(number: int) -> str:
    """A size in the unit that people read it in; exact below a thousand."""
    size, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return count_of(number, "byte") if unit == "bytes" else f"{size:.1f} {unit}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns as wide as their widest cell, two spaces apart; the last is left open."""
    if not rows:
        return []
    widths = [max(columns_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(fill(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def use_safe_streams() -> None:
    """Let no character that the terminal's encoding lacks break the output."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(ValueError, OSError):
                reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person may be looking."""
    try:
        return stream.isatty()
    except ValueError:
        return False
