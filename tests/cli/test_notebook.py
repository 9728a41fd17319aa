"""Runs and graphs in a notebook: the same page and drawing, escaped, nothing loaded."""

from __future__ import annotations

import base64
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from replayt_cli.notebook import display_graph, display_run
from replayt_cli.render.html import report_html
from replayt_core import MemoryStore, ReplaytError, RunContext, Runner, RunNotFoundError, Workflow
from tests.cli.helpers import HELLO, Shell
from tests.cli.reports import Page, events_of, every_event, recorded

EVIL = "</td><img src=x onerror=alert(1)>\x1b[31m\u202e"


class Elements(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_run_is_its_report_page_in_a_frame_without_rights() -> None:
    store = MemoryStore()
    store.append(
        "desk", [e._replace(more=False) for e in events_of("desk", every_event())], after=0
    )
    shown: list[str] = []
    display_run("desk", store, show=shown.append)
    (_div, _none), (tag, attrs) = Elements(shown[0]).found
    assert tag == "iframe"
    assert attrs["sandbox"] == ""
    assert attrs["srcdoc"] == report_html(recorded("desk", every_event()))


def test_a_run_is_found_by_url_and_in_the_usual_place(shell: Shell) -> None:
    shell.write("hello.py", HELLO)
    assert shell.call("run", "hello.py", "--run-id", "h1").code == 0
    shown: list[str] = []
    display_run("h1", show=shown.append)
    display_run("h1", "jsonl:///.replayt/runs", show=shown.append)
    assert shown[0] == shown[1]
    assert "hello@2" in shown[0]
    with pytest.raises(RunNotFoundError, match="no run 'h2'"):
        display_run("h2", show=shown.append)
    shell.write(".replaytrc.toml", "log_dir = 'kept'\n")
    shell.directory.joinpath(".replayt/runs").rename(shell.directory / "kept")
    display_run("h1", show=shown.append)
    assert shown[2] == shown[0]


def test_a_graph_is_a_picture_that_carries_everything() -> None:
    wf = Workflow('say "hi"')
    wf.set_initial("a")
    wf.step("a", to=["</b>"])(lambda ctx: None)
    wf.step("</b>")(lambda ctx: None)
    shown: list[str] = []
    display_graph(wf, show=shown.append)
    ((tag, attrs),) = Elements(shown[0]).found
    assert (tag, attrs["alt"]) == ("img", 'The graph of say "hi"@1')
    head, _, data = str(attrs["src"]).partition(",")
    assert head == "data:image/svg+xml;base64"
    assert "&lt;/b&gt;" in base64.b64decode(data).decode()


def test_a_result_shows_itself_escaped() -> None:
    """R27."""
    wf = Workflow(EVIL)
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        raise ValueError(EVIL)

    markup = Runner(wf, MemoryStore()).run(run_id="r1")._repr_html_()
    assert {tag for tag, _attrs in Elements(markup).found} == {"table", "tbody", "tr", "th", "td"}
    assert "\x1b" not in markup
    assert "\u202e" not in markup
    text = Page(markup).text
    assert "run r1" in text
    assert "status failed" in text
    assert r"ValueError: </td><img src=x onerror=alert(1)>\x1b[31m\u202e" in text


def test_a_result_that_waits_says_for_what() -> None:
    wf = Workflow("gate")
    wf.set_initial("a")

    @wf.step("a")
    def a(ctx: RunContext) -> None:
        ctx.request_approval("ship", summary="Ship <it>?")

    text = Page(Runner(wf, MemoryStore()).run(run_id="r1")._repr_html_()).text
    assert "status paused" in text
    assert "waits for approval ship: Ship <it>?" in text


def test_without_ipython_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    wf = Workflow("w")
    wf.set_initial("a")
    wf.step("a")(lambda ctx: None)
    with pytest.raises(ReplaytError, match="pip install ipython"):
        display_graph(wf)
