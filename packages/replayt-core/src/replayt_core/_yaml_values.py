"""Nodes -> texts, numbers and JSON values, by the place they stand in and not by how they look.

Where a text belongs, what is written is the text: a step may be called `on` and a version `1.0`.
Where any value may stand, only what JSON knows is no text; what one version of YAML takes for a
boolean, number or date and another for a text has to be quoted.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias, cast

from pydantic import JsonValue

from replayt_core._templates import NAME, Template, TemplateError, parse_template
from replayt_core._yaml_nodes import ListNode, MapNode, Node, TextNode
from replayt_core._yaml_problems import Problems

Tree: TypeAlias = "Template | JsonValue | list[Tree] | dict[str, Tree]"
"""A JSON value whose texts are templates."""

_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_TWO_FACED = re.compile(
    r"""(?ix:
      y | n | yes | no | on | off | true | false | null | ~ | =
    | [-+]?[0-9][0-9_]*                                     # octal, underscores
    | [-+]?0[xob][0-9a-f_]+
    | [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?          # base 60, as in 10:30
    | [-+]?([0-9][0-9_]*)?\.[0-9_]+([e][-+]?[0-9]+)?
    | [-+]?[0-9][0-9_]*\.?([e][-+]?[0-9]+)?
    | [-+]?\.(inf|nan)
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t\ ]+[0-9]{1,2}:.*)?   # dates
    )"""
)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_MAX_NUMBER = 40
_BIGGEST = 2**63


def kind_of(node: Node) -> str:
    """What a node is, for messages."""
    if isinstance(node, MapNode):
        return "a mapping" if node.pairs else "an empty mapping"
    if isinstance(node, ListNode):
        return "a list" if node.items else "an empty list"
    return "empty" if isinstance(node, TextNode) and not node.text.strip() else "a single value"


def read_text(node: Node, problems: Problems, what: str) -> str | None:
    """The text as written; a problem where it is empty or no scalar."""
    if isinstance(node, TextNode) and node.text.strip():
        return node.text
    problems.add(node, f"{what} is {kind_of(node)}; write a text")
    return None


def read_name(node: Node, problems: Problems, what: str) -> str | None:
    """A key of the context: what templates can name."""
    text = read_text(node, problems, what)
    if text is not None and not NAME.fullmatch(text):
        problems.add(
            node, f"{what} is {text!r:.80}; use letters a to z, digits, _ and -, and a letter first"
        )
        return None
    return text


def read_template(node: Node, problems: Problems, what: str) -> Template | None:
    """The template of a text."""
    text = read_text(node, problems, what)
    return None if text is None else _template(node, text, problems)


def _template(node: Node, text: str, problems: Problems) -> Template | None:
    try:
        return parse_template(text)
    except TemplateError as error:
        problems.add(node, str(error))
        return None


def read_number(node: Node, problems: Problems, what: str) -> int | float | None:
    """A number as JSON writes it."""
    if isinstance(node, TextNode) and node.plain and is_number(node.text):
        return _number(node, problems)
    problems.add(node, f"{what} is {_shown(node)}; write a number such as 2 or 0.5")
    return None


def read_flag(node: Node, problems: Problems, what: str) -> bool:
    """`true` or `false`, written so."""
    if isinstance(node, TextNode) and node.plain and node.text in ("true", "false"):
        return node.text == "true"
    problems.add(node, f"{what} is {_shown(node)}; write true or false")
    return False


def read_constant(node: Node, problems: Problems) -> JsonValue:
    """A JSON value; braces in its texts stand for themselves."""
    if isinstance(node, MapNode):
        return {key.text: read_constant(value, problems) for key, value in node.pairs}
    if isinstance(node, ListNode):
        return [read_constant(item, problems) for item in node.items]
    return _scalar(cast(TextNode, node), problems)


def read_tree(node: Node, problems: Problems) -> Tree:
    """A JSON value whose texts are templates."""
    if isinstance(node, MapNode):
        return {key.text: read_tree(value, problems) for key, value in node.pairs}
    if isinstance(node, ListNode):
        return [read_tree(item, problems) for item in node.items]
    value = _scalar(cast(TextNode, node), problems)
    return _template(node, value, problems) if isinstance(value, str) else value


def is_number(text: str) -> bool:
    """Whether a text is a number as JSON writes it."""
    return _NUMBER.fullmatch(text) is not None


def is_json_word(node: TextNode) -> bool:
    """Whether JSON takes what stands there for something else than a text."""
    return node.plain and (node.text in _WORDS or is_number(node.text))


def looks_two_faced(node: TextNode) -> bool:
    """Whether versions of YAML disagree about it."""
    known = len(node.text) <= _MAX_NUMBER and _TWO_FACED.fullmatch(node.text)
    return node.plain and bool(known)


def _scalar(node: TextNode, problems: Problems) -> JsonValue:
    if not node.plain:
        return node.text
    if not node.text:
        problems.add(node, 'nothing stands here; write null, or "" for an empty text')
        return None
    if node.text in _WORDS:
        return _WORDS[node.text]
    if is_number(node.text):
        return _number(node, problems)
    if looks_two_faced(node):
        problems.add(
            node,
            f"{node.text!r:.60} is a text in some versions of YAML and none in others; quote it, "
            "or write it as JSON does (true, false, null, 12, 0.5)",
        )
        return None
    return node.text


def _number(node: TextNode, problems: Problems) -> int | float | None:
    text = node.text
    if len(text) <= _MAX_NUMBER:
        value = int(text) if text.lstrip("-").isdigit() else float(text)
        if math.isfinite(value) and (isinstance(value, float) or abs(value) < _BIGGEST):
            return value
    problems.add(
        node, f"the number {text:.40} is too large; write a smaller one, or quote it as a text"
    )
    return None


def _shown(node: Node) -> str:
    return repr(node.text[:60]) if isinstance(node, TextNode) and node.text else kind_of(node)
