"""YAML text -> a tree of nodes that know where they stand; refuses what can hide or explode.

Values are not made here: a scalar keeps the text that was written and whether it was quoted, so
that nothing turns `no` into False or `1.0` into a number on its way. The one module that imports
PyYAML, when the first file is read. It reads events, not objects: no tag can construct anything,
and depth and size are bounded before a tree exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from replayt_core._yaml_problems import Problems
from replayt_core.errors import WorkflowFileError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 24
MAX_NODES = 20_000

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels; flatten it"
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where something stands, counted from 1, and the line it ends on."""

    line: int
    column: int
    last_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNode(Node):
    """A scalar: its text as written, and whether it stood there without quotes."""

    text: str
    plain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode(Node):
    """A sequence."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode(Node):
    """A mapping, in the order that was written; no key stands twice."""

    pairs: tuple[tuple[TextNode, Node], ...]


def decode(data: bytes, problems: Problems) -> str:
    """The text of a file. Raises `WorkflowFileError` for what is too large or no UTF-8 text."""
    if len(data) > MAX_BYTES:
        problems.stop(1, 1, f"larger than {MAX_BYTES} bytes; split the workflow")
    if data.startswith(_WIDE_MARKS):
        problems.stop(1, 1, "this is UTF-16 or UTF-32; save the file as UTF-8")
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        problems.stop(line, column, "this byte is no UTF-8; save the file as UTF-8")


def parse_nodes(text: str, problems: Problems) -> Node:
    """The one document of a text. Raises `WorkflowFileError` for what is no plain YAML tree."""
    odd = _UNREADABLE.search(text)
    if odd is not None:
        before = text[: odd.start()]
        line, column = before.count("\n") + 1, odd.start() - before.rfind("\n")
        problems.stop(
            line, column, f"the control character {odd[0]!a} has no place here; delete it"
        )
    try:
        import yaml
    except ImportError:
        raise WorkflowFileError(
            f"{problems.source}: PyYAML is missing: install the yaml extra "
            "(pip install 'replayt[yaml]'), or PyYAML itself"
        ) from None
    # The parser in C reads the same language, and a megabyte of it in a fraction of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(yaml.parse(text, Loader=loader), problems).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = (error.problem or error.context or "it cannot be read").rstrip(".")
        if "nesting depth" in what:
            problems.stop(line, column, _TOO_DEEP)
        problems.stop(line, column, f"this is no YAML: {what}; {_remedy(what)}")
    except yaml.YAMLError as error:
        problems.stop(1, 1, f"this is no YAML: {' '.join(str(error).split())}; correct it")


def _remedy(what: str) -> str:
    if "\\t" in what or "tab" in what.lower() or "cannot start any token" in what:
        return "indent with spaces, and quote texts that start with a special character"
    if "mapping values are not allowed" in what:
        return "quote the text that holds the colon, or mend the indentation"
    return "check indentation, quotes and brackets there"


class _Builder:
    """The events of one text, and how many nodes they have made."""

    def __init__(self, events: Iterator[Any], problems: Problems) -> None:
        self._events = events
        self._problems = problems
        self._nodes = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                if root is not None:
                    self._stop(event, "a second document starts here; a file holds one workflow")
                if event.tags or event.version:
                    self._stop(event, "YAML directives (%) are not taken; delete them")
                root = self._node(next(self._events), 1)
        if root is None:
            self._problems.stop(1, 1, "the file is empty; it needs name, initial and steps")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._stop(event, f"the alias *{event.anchor} is not taken; write the value out")
        if event.anchor is not None:
            self._stop(event, f"the anchor &{event.anchor} is not taken; delete it")
        if event.tag is not None:
            self._stop(event, f"the tag {event.tag!r:.60} is not taken; delete it")
        # A placeholder costs what a value costs; so do braces that are none.
        self._nodes += 1 if kind != "ScalarEvent" else 1 + event.value.count("{")
        if self._nodes > MAX_NODES:
            self._stop(event, f"more than {MAX_NODES} values and braces; split the workflow")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind == "ScalarEvent":
            return self._scalar(event, line, column)
        if depth > MAX_DEPTH:
            self._stop(event, _TOO_DEEP)
        if kind == "SequenceStartEvent":
            items, end = self._list(depth)
            last = max([line, *(item.last_line for item in items)])
            last = max(last, end.end_mark.line + 1) if event.flow_style else last
            return ListNode(line=line, column=column, last_line=last, items=tuple(items))
        pairs, end = self._map(depth)
        last = max([line, *(value.last_line for _, value in pairs)])
        last = max(last, end.end_mark.line + 1) if event.flow_style else last
        return MapNode(line=line, column=column, last_line=last, pairs=tuple(pairs))

    def _scalar(self, event: Any, line: int, column: int) -> TextNode:
        end = event.end_mark
        # What ends at the start of a line ended with the line before.
        last = end.line if end.column == 0 and end.line + 1 > line else end.line + 1
        text: str = event.value
        try:
            text.encode()
        except UnicodeEncodeError:
            self._stop(event, "an escape here makes half a character; write the character itself")
        if "\x00" in text:
            self._stop(event, "an escape here makes a NUL; delete it")
        plain = event.style is None or not event.style
        return TextNode(line=line, column=column, last_line=last, text=text, plain=plain)

    def _list(self, depth: int) -> tuple[list[Node], Any]:
        items: list[Node] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, depth + 1))
        return items, event

    def _map(self, depth: int) -> tuple[list[tuple[TextNode, Node]], Any]:
        pairs: dict[str, tuple[TextNode, Node]] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, TextNode):
                self._problems.add(key, "a key is a text; write it in one line")
            elif key.plain and key.text == "<<":
                self._problems.add(key, "the merge key << is not taken; write the keys out")
            elif key.text in pairs:
                first = pairs[key.text][0].line
                self._problems.add(
                    key, f"the key {key.text!r:.80} stands in line {first} already; delete one"
                )
            else:
                pairs[key.text] = key, value
        return list(pairs.values()), event

    def _stop(self, event: Any, text: str) -> NoReturn:
        self._problems.stop(event.start_mark.line + 1, event.start_mark.column + 1, text)
