"""`replayt report` and `replay --format html`: one page, from the log alone, that nothing in a log
can turn into something else."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from replayt_cli.render.html import report_html
from replayt_cli.show.recorded_run import RecordedRun
from replayt_core import DamagedLogError, fold
from tests.cli.helpers import SORTS, Shell, environment, on_terminal, one_line
from tests.cli.reports import (
    Page,
    Record,
    changed,
    events_of,
    every_event,
    long_run,
    recorded,
    text_places,
    write_log,
)

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("*/*.jsonl"))

PAYLOADS = {
    "script": "</script><script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x="',
    "quote": "' autofocus onfocus=alert(1) '",
    "style": "</style><style>*{background:url(//evil.test)}</style>",
    "link": "[click](javascript:alert(1)) javascript:alert(1)",
    "svg": "</title></svg><svg onload=alert(1)>",
    "comment": "--><!--]]><iframe src=//evil.test>",
    "template": "{{ 7*7 }}{% raw %}${7*7}",
    "entity": "&lt;script&gt;&#60;b&#62;&amp;",
    "terminal": "\x1b]0;title\x07\x1b[2J\x9b31m\x00\r\x08",
    "bidi": "a\u202eb\u2066c\u200bd\ufeffe\u2028f\u0085g",
}
"""Twelve ways to leave the place a text was put in (R27)."""

_ELEMENTS = (
    "html head meta title link style body a header p div h1 h2 h3 h4 ul ol li span dl dt dd nav "
    "main section svg desc g path rect circle line text pre code details summary table caption "
    "thead tbody tfoot tr th td footer"
)
_ATTRIBUTES = (
    "lang charset http-equiv content name rel href class id role tabindex scope colspan open "
    "aria-label aria-labelledby aria-hidden width height viewbox x y rx cx cy r x1 x2 y1 y2 d "
    "text-anchor"
)
ELEMENTS = frozenset(_ELEMENTS.split())
ATTRIBUTES = frozenset(_ATTRIBUTES.split())


def page_of(records: list[Record]) -> str:
    return report_html(recorded("desk", records))


def assert_tame(html: str, what: str) -> None:
    """Nothing but our own elements and attributes, nothing loaded, nothing invisible."""
    page = Page(html)
    for tag, attrs in page.elements:
        assert tag in ELEMENTS, f"{what}: <{tag}>"
        assert attrs.keys() <= ATTRIBUTES, f"{what}: <{tag}> with {sorted(attrs)}"
        href = attrs.get("href", "#")
        assert href == "data:," or re.fullmatch(r"#[a-z0-9]*", href), f"{what}: {href}"
    assert not page.comments, what
    for char in set(html) - set("\n\t"):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"), (
            f"{what}: raw {char!r}"
        )


@pytest.fixture
def sorted_run(shell: Shell) -> str:
    """A completed run of a workflow with an input, a model call and a tool call."""
    shell.write("sorts.py", SORTS)
    done = shell.call(
        *("run", "sorts.py", "--dry-run", "--run-id", "s1", "--log-mode", "full"),
        *("--inputs-json", '{"number": 12}', "--tag", "team=triage"),
    )
    assert done.code == 0
    return "s1"


# --- The two commands


def test_report_and_replay_html_make_the_same_page(shell: Shell, sorted_run: str) -> None:
    """SC-145, SC-148, SC-179."""
    report = shell.call("report", sorted_run)
    replay = shell.call("replay", sorted_run, "--format", "html")
    short = shell.call("replay", sorted_run, "-f", "html")
    assert (report.code, replay.code) == (0, 0)
    assert report.out == replay.out == short.out
    assert report.out.startswith("<!doctype html>")
    assert report.out.endswith("</html>\n")


@pytest.mark.parametrize("words", [["report", "s1"], ["replay", "s1", "--format", "html"]])
def test_out_makes_directories_writes_the_page_and_prints_the_path(
    shell: Shell, sorted_run: str, words: list[str]
) -> None:
    """SC-145."""
    printed = shell.call(*words).out
    written = shell.call(*words, "--out", "a/b/page.html")
    assert (written.code, written.out, written.err) == (0, "a/b/page.html\n", "")
    assert (shell.directory / "a/b/page.html").read_text(encoding="utf-8") == printed
    assert [path.name for path in (shell.directory / "a/b").iterdir()] == ["page.html"]


def test_out_replaces_an_older_page_whole(shell: Shell, sorted_run: str) -> None:
    shell.write("page.html", "old " * 100_000)
    assert shell.call("report", "s1", "--out", "page.html").code == 0
    text = (shell.directory / "page.html").read_text(encoding="utf-8")
    assert "old old" not in text
    assert text.endswith("</html>\n")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_the_page_goes_into_a_file(shell: Shell, sorted_run: str) -> None:
    code, sent = on_terminal(shell, "report", "s1")
    assert (code, sent.strip()) == (0, "s1.html")
    assert (shell.directory / "s1.html").read_text(encoding="utf-8") == shell.call(
        "report", "s1"
    ).out


def test_mistakes_are_one_line(shell: Shell, sorted_run: str) -> None:
    """SC-119."""
    missing = shell.call("report", "nobody")
    assert missing.code == 66
    assert "no run 'nobody'" in one_line(missing)
    os.mkfifo(shell.directory / "pipe")
    assert "pipe: it is no regular file" in one_line(shell.call("report", "s1", "--out", "pipe"))
    assert (shell.directory / "pipe").is_fifo()
    (shell.directory / "folder").mkdir()
    folder = shell.call("report", "s1", "--out", "folder")
    assert folder.code == 74
    assert "cannot write folder: it is a directory" in one_line(folder)
    file_in_the_way = shell.call("report", "s1", "--out", "sorts.py/page.html")
    assert file_in_the_way.code == 74
    assert "cannot write sorts.py/page.html" in one_line(file_in_the_way)
    empty = shell.call("report", "s1", "--out", "")
    assert empty.code == 64
    text = shell.call("replay", "s1", "--out", "page.html")
    assert text.code == 64
    assert "--format html" in one_line(text)
    assert not (shell.directory / "page.html").exists()


def test_reads_the_log_alone(
    shell: Shell, sorted_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SC-143: no network, no handler."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a report asked for a socket")

    (shell.directory / "sorts.py").unlink()
    before = shell.log("s1").read_bytes()
    monkeypatch.setattr(socket, "socket", refuse)
    assert shell.call("report", "s1").code == 0
    assert shell.log("s1").read_bytes() == before


def test_help_does_not_import_jinja2(shell: Shell) -> None:
    code = (
        "import sys; from replayt_cli.main import main; main(['--help']); main(['report','--help'])"
        "; print([name for name in ('jinja2', 'markupsafe') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_store_gives_the_same_page(shell: Shell, sorted_run: str) -> None:
    copied = shell.call("store", "copy", "jsonl:///.replayt/runs", "sqlite:///runs.db")
    assert copied.code == 0, copied.err
    page = shell.call("report", "s1").out
    assert shell.call("report", "s1", "--sqlite", "runs.db").out == page
    assert shell.call("report", "s1", "--store", "sqlite:///runs.db").out == page


# --- What it shows


def test_a_completed_run_is_told_whole(shell: Shell, sorted_run: str) -> None:
    page = Page(shell.call("report", "s1").out)
    events = shell.events("s1")
    state = json.loads(shell.call("inspect", "s1", "--output", "json").out)["summary"]
    for fact in (
        "sorts@1",
        "Status: completed",
        "team=triage",
        "number 12",
        "read → urgent",
        "numbers above 10 are urgent",
        "Not taken later",
        "Choose a label for issue 12. One word.",
        '{"number": 12}',
        "issue 12",
        "validated output Label",
        "label absent",
        f"seq 2 to {next(e['seq'] for e in events if e['type'] == 'transition')}",
        state["head"],
        f"replayt verify s1 --head {state['head']}",
        "The log keeps prompts and replies in full.",
    ):
        assert fact in page.text, fact
    output = next(e["payload"]["data"] for e in events if e["type"] == "structured_output")
    assert json.dumps(output, ensure_ascii=False) in page.text


def test_every_kind_of_event_is_told() -> None:
    text = Page(page_of(every_event())).text
    for fact in (
        "Failed in decide TimeoutError: no answer location: desk.py:12 kind: slow",
        "forked from parent, at seq 4",
        "pinned copy of the log with head eeee",
        "executed by 3 processes",
        "tried again after 1.5 s (seq 4)",
        "output does not fit",
        "schema: 1 field does not fit fields: action: missing",
        "asks again the reply to call 1 did not fit",
        "its beginning; log mode full keeps no more",
        "failed: auth",
        "1,200 in, 30 out",
        "answered as m-1-2026",
        "temperature 0.2",
        "request id req-7",
        "prompt: user 14 bytes",
        "Not kept (log mode full). 3 bytes, SHA-256 9999",
        "note policy: above it",
        "attempt 2 of 3 in 2.0 s",
        "tries 1 removed",
        'verdict absent {"action": "pay"}',
        "context vip there was none",
        "pay-it approved ada photo seen",
        "what was shown Pay 120.50 back?",
        "answer to other is ignored",
        "a torn end of 12 bytes was put aside",
        "process ends, the run does not: signal",
        "run is taken up, process 3",
        "34 events, in the order of the log",
    ):
        assert fact in text, fact


def test_every_event_has_a_place_and_every_link_leads_somewhere() -> None:
    html = page_of(every_event())
    page = Page(html)
    ids = [attrs["id"] for _tag, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"][1:] for tag, attrs in page.elements if tag == "a"}
    assert links <= set(ids)
    table = html[html.index('<table class="data events"') :]
    assert re.findall(r'<tr><td><a href="#\w+">(\d+)</a>', table) == [
        str(seq) for seq in range(1, 35)
    ]


def test_tokens_and_latency_are_summed_by_state_and_model() -> None:
    html = page_of(every_event())
    table = html[html.index('<h2 id="usage">') :]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", table[: table.index("</table>")])
    head, row = cells[:10], cells[10:20]
    assert dict(zip(head, row, strict=True)) == {
        "state": "read",
        "model": "m-1",
        "calls": "3",
        "failed": "1",
        "retries": "2",
        "tokens in": "1,200",
        "out": "30",
        "total": "1,230",
        "median": "800 ms",
        "longest": "2.4 s",
    }


def test_a_run_that_waits_names_the_command_that_answers() -> None:
    records = every_event()[:25]
    page = Page(report_html(recorded("desk", records, status="paused")))
    assert "Status: paused" in page.text
    assert "Waits for approval pay-it" in page.text
    assert "replayt resume TARGET desk --approval pay-it" in page.text
    assert 'changed before the pause, not committed {"set": {"draft": "soon"}' in page.text
    assert "waits for an answer" in page.text


def test_long_pauses_are_drawn_short_and_said_to_be() -> None:
    events = events_of("desk", every_event())
    late = [
        event._replace(ts=event.ts.replace("2026-03-01", "2026-03-04")) if event.seq > 26 else event
        for event in events
    ]
    run = RecordedRun(events=late, state=fold("desk", late), damage=None, status="failed")
    html = report_html(run)
    assert "pauses are drawn shorter than they were" in html
    assert "3 d 0 h" not in Page(html).text.split("of it waiting")[0].split("took")[0]
    widths = [float(w) for w in re.findall(r'class="b-state" x="[\d.]+%" width="([\d.]+)%"', html)]
    assert max(widths) > 20  # what was worked is not squeezed into nothing


def test_log_modes_are_honoured_and_what_was_not_kept_is_said(shell: Shell) -> None:
    secret = "the-prompt-nobody-keeps"
    shell.write("sorts.py", SORTS.replace("One word.", secret))
    for mode in ("redacted", "structured_only"):
        words = ("run", "sorts.py", "--dry-run", "--run-id", mode, "--log-mode", mode)
        assert shell.call(*words, "--inputs-json", '{"number": 3}').code == 0
        html = shell.call("report", mode).out
        assert secret not in html
        assert f"Not kept (log mode {mode})." in html
        assert "SHA-256" in html
    assert "reply" in html
    full = ("run", "sorts.py", "--dry-run", "--run-id", "full", "--log-mode", "full")
    assert shell.call(*full, "--inputs-json", '{"number": 3}').code == 0
    assert secret in shell.call("report", "full").out


def test_a_damaged_log_is_shown_as_far_as_it_goes(shell: Shell, sorted_run: str) -> None:
    lines = shell.log("s1").read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b'"seq":8', b'"seq":9')
    shell.log("s1").write_bytes(b"".join(lines))
    done = shell.call("report", "s1", "--out", "page.html")
    assert done.code == 65
    assert "page.html" in done.out
    page = Page((shell.directory / "page.html").read_text(encoding="utf-8"))
    assert "Status: damaged" in page.text
    assert "The log is damaged" in page.text
    assert "look_up" in page.text
    assert "urgent" in page.text


def test_a_log_damaged_from_the_first_byte_still_has_a_page(shell: Shell) -> None:
    shell.write(".replayt/runs/broken.jsonl", "\x00\x00 nothing\n{}\n")
    done = shell.call("report", "broken")
    assert done.code == 65
    assert "Status: damaged" in Page(done.out).text
    assert "The run has entered no state." in Page(done.out).text
    assert "No event could be read, so there is nothing to check." in Page(done.out).text
    assert '<svg class="graph"' not in done.out


def test_a_run_that_somebody_executes_says_that_it_goes_on() -> None:
    page = Page(report_html(recorded("desk", every_event()[:5], status="running")))
    assert "Status: running" in page.text
    assert "this page ends with the last event that was written" in page.text
    assert "no answer" in page.text


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_logs_of_every_release_have_a_page(shell: Shell, path: Path) -> None:
    target = shell.directory / ".replayt/runs" / path.name
    target.parent.mkdir(parents=True)
    shutil.copy(path, target)
    done = shell.call("report", path.stem)
    assert done.code == 0, done.err
    assert_tame(done.out, path.name)
    page = Page(done.out)
    ids = {attrs["id"] for _tag, attrs in page.elements if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in page.elements if tag == "a"} <= ids
    count = len(path.read_bytes().strip().splitlines())  # 0.4 began with an empty line
    assert f"{count} events, in the order of the log" in page.text
    unchained = path.parent.name == "unchained"
    assert ("wrote no hash chain" in page.text) == unchained
    assert ("The log holds no declared graph" in page.text) == unchained


def test_an_older_log_shows_prompt_reply_and_output_as_far_as_it_has_them(shell: Shell) -> None:
    source = next(path for path in FIXTURES if path.stem == "old-completed")
    target = shell.directory / ".replayt/runs" / source.name
    target.parent.mkdir(parents=True)
    shutil.copy(source, target)
    text = Page(shell.call("report", "old-completed").out).text
    assert "The log holds no messages of this call. It counts 1." in text
    assert 'validated output Intake {"kind": "bug"}' in text
    assert "10 in, 5 out" in text


# --- What it must never do


def test_nothing_is_loaded_and_no_script_is_allowed() -> None:
    """R27, SC-147."""
    html = page_of(every_event())
    page = Page(html)
    assert_tame(html, "every event")
    assert not re.search(r"url\(|@import|expression\(|@font-face", page.style)
    policy = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    meta = [attrs.get("http-equiv") for tag, attrs in page.elements if tag == "meta"]
    assert meta.index("Content-Security-Policy") == 1, "before anything that could load"


def one_of_each(counts: Sequence[int]) -> Iterator[dict[int, int]]:
    """Which part of which event is changed on a page, until each had its turns.

    The first event says what the run is, so one of its parts is changed alone. Of the others one
    part each is, twice, each time beside different parts of the others: a page for every single one
    takes ten times as long, and what is wrong with one part shows beside another.
    """
    yield from ({0: part} for part in range(counts[0]))
    most = max(counts[1:])
    for turn, begin in product((1, 2), range(most)):
        chosen = {event: (begin + turn * event) % most for event in range(1, len(counts))}
        yield {event: part for event, part in chosen.items() if part < counts[event]}


def test_each_part_has_its_turns() -> None:
    counts = [3, 1, 4, 2]
    tried = Counter(pair for page in one_of_each(counts) for pair in page.items())
    assert tried == {
        (event, part): 2 if event else 1
        for event, parts in enumerate(counts)
        for part in range(parts)
    }


def test_no_text_of_a_log_leaves_its_place() -> None:
    """R27, SC-146: every event type, every text field, with all twelve payloads."""
    hostile = " ".join(PAYLOADS.values())
    records = every_event()
    places = [list(text_places(payload)) for _kind, payload in records]
    assert sum(map(len, places)) > 150
    for page in one_of_each([*map(len, places)]):
        bad = [*records]
        for event, part in page.items():
            kind, payload = records[event]
            bad[event] = (kind, changed(payload, places[event][part], lambda _old: hostile))
        assert_tame(page_of(bad), str(page))


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_text_leaves_its_place_where_all_texts_try(name: str) -> None:
    """R27: the payload in every text field of every event at once."""
    everything = []
    for kind, payload in every_event():
        bad = payload
        for place in text_places(payload):
            bad = changed(bad, place, lambda _old: PAYLOADS[name])
        everything.append((kind, bad))
    html = page_of(everything)
    assert_tame(html, name)
    if PAYLOADS[name].isprintable():
        assert " ".join(PAYLOADS[name].split()) in Page(html).text


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_name_of_a_log_leaves_its_place(name: str) -> None:
    """R27: keys, event types and times, which come from a log as well."""
    hostile = PAYLOADS[name]

    def with_keys(value: Any) -> Any:
        return {hostile: 1, f"{hostile}2": [hostile], **value}

    records = every_event()
    for index, path in (
        (0, ("inputs",)),
        (0, ("tags",)),
        (0, ("context",)),
        (0, ("code",)),
        (2, ("effective",)),
        (2, ("messages", 1, "fields")),
        (12, ("arguments",)),
        (13, ("result",)),
        (20, ("context", "set")),
        (23, ("details",)),
    ):
        kind, payload = records[index]
        bad = [*records]
        bad[index] = (kind, changed(payload, path, with_keys))
        assert_tame(page_of(bad), f"{name} as a key of {kind} {path}")
    events = events_of("desk", records)
    events.insert(3, events[3]._replace(type=hostile, ts=hostile))
    run = RecordedRun(
        events=events, state=fold("desk", events), damage=DamagedLogError(hostile), status="damaged"
    )
    assert_tame(report_html(run), f"{name} as a type, a time and a damage")


def test_what_is_invisible_is_shown() -> None:
    """R28."""
    records = every_event()
    records[16][1]["summary"] = "a\x1b[31mb\u202ec\x00d\u200be"
    text = Page(page_of(records)).text
    assert r"a\x1b[31mb\u202ec\x00d\u200be" in text


def test_any_object_of_json_can_be_shown() -> None:
    """Readers are total: each payload and each part of one is replaced by each kind of JSON."""
    odd: list[Any] = [None, True, -1, "x", [1, None], {"a": {"b": []}}]
    records = every_event()
    keys = [list(payload) for _kind, payload in records]
    for page, value in product(one_of_each([*map(len, keys)]), odd):
        bad = [*records]
        for event, part in page.items():
            kind, payload = records[event]
            bad[event] = (kind, {**payload, keys[event][part]: value})
        assert page_of(bad).endswith("</html>\n"), (page, value)
    for index, (kind, _payload) in enumerate(records):
        for whole in ({}, {"state": {}, "call": "x"}):
            bad = [*records]
            bad[index] = (kind, whole)
            assert page_of(bad).endswith("</html>\n"), (kind, whole)


def test_events_of_unknown_types_are_shown_as_they_stand() -> None:
    records = every_event()
    records.insert(3, ("from_the_future", {"colour": "green", "deep": {"a": [1]}}))
    text = Page(page_of(records)).text
    assert "event from_the_future" in text
    assert "colour green" in text
    assert '{"a": [1]}' in text


# --- Long runs


def test_five_thousand_events_stay_below_5_mb() -> None:
    html = report_html(recorded("long", long_run(625), status="interrupted"))
    assert len(html.encode()) < 5_000_000
    assert "Steps 601 to 625" in html
    assert "5,001 events, in the order of the log" in html


def test_a_log_of_long_texts_makes_excerpts_that_say_so() -> None:
    records = every_event()
    records[2][1]["messages"][0]["content"] = "long " * 200_000
    html = page_of(records)
    assert len(html) < 200_000
    assert "more characters" in html
    assert "1 long text is cut on this page" in Page(html).text
    assert "cut on this page" not in Page(page_of(every_event())).text
    many = long_run(625)
    for kind, payload in many:
        if kind == "llm_request":
            payload["messages"][0]["content"] = "<long> " * 2_000
    assert len(report_html(recorded("long", many)).encode()) < 5_000_000


def test_a_step_of_very_many_calls_opens_on_demand() -> None:
    records = every_event()[:2]
    for call in range(1, 201):
        records += [
            ("tool_call", {"call": call, "state": "read", "name": "t", "arguments": {"n": call}}),
            (
                "tool_result",
                {"call": call, "state": "read", "name": "t", "ok": True, "result": call},
            ),
        ]
    html = page_of(records)
    assert "200 calls and events in this step" in html


def test_a_log_in_a_file_and_a_log_in_memory_give_the_same_page(shell: Shell) -> None:
    write_log(shell.directory / ".replayt/runs/desk.jsonl", every_event())
    assert shell.call("report", "desk").out == page_of(every_event())
