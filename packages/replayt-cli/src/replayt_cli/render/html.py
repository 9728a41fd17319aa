"""The report page: one HTML file from a recorded run. No script, nothing loaded, all text escaped.

What stands in a log is never trusted: the template escapes by itself, invisible characters are
shown as escapes, and the page's policy lets a browser load nothing and apply no style but its own.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from replayt_cli.render.graph.svg import graph_style
from replayt_cli.render.report.page import make_page
from replayt_cli.render.text import escape

if TYPE_CHECKING:
    from replayt_cli.show.recorded_run import RecordedRun


def report_html(run: RecordedRun) -> str:
    """The page of a run, from its log alone. The same log always gives the same page."""
    style = f"{_stylesheet()}\n{graph_style()}"
    page = make_page(run)
    template = _environment().get_template("report.html")
    return template.render(
        page=page,
        graph=Markup(page.graph),  # noqa: S704 - drawn by `svg`, which escapes every text
        style=Markup(style),  # noqa: S704 - our own file
        policy=_policy(style),
    )


def visible(value: Any) -> Any:
    """A text as markup: escaped, with everything invisible but line breaks and tabs shown.

    Values of other types, and markup, are left as they are.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if value.isprintable():
        return Markup.escape(value)
    return Markup("\n").join(_visible_line(line) for line in value.split("\n"))


def _content(text: str) -> Markup:
    """The same between tags, never in an attribute: quotes stay, which JSON is full of."""
    return Markup(visible(text).replace("&#34;", '"').replace("&#39;", "'"))  # noqa: S704


def _visible_line(line: str, *, keep: str = "\t") -> Markup:
    if line.isprintable():
        return Markup.escape(line)
    parts: list[Markup] = []
    for is_hidden, chars in groupby(line, lambda char: char not in keep and escape(char) != char):
        run = "".join(chars)
        parts.append(_hidden(escape(run)) if is_hidden else Markup.escape(run))
    return Markup("").join(parts)


def _hidden(escaped: str) -> Markup:
    return Markup('<span class="hidden-char">{}</span>').format(escaped)


def _one_line(text: str) -> Markup:
    """A name, on one line: line breaks and tabs are shown as well."""
    return _visible_line(text, keep="")


def _percent(number: float) -> str:
    return f"{number:.2f}%"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("replayt_cli", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters["content"] = _content
    environment.filters["name"] = _one_line
    environment.filters["percent"] = _percent
    return environment


@cache
def _stylesheet() -> str:
    return (files("replayt_cli") / "templates" / "report.css").read_text(encoding="utf-8").strip()


def _policy(style: str) -> str:
    """What the page may do: apply this one stylesheet, show the icon that it carries itself."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
