"""`replayt graph --runs`: what recorded runs did with a graph. `test_svg.py` has the drawing."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from replayt_cli.analyse.graph_counts import count_runs
from replayt_cli.render.graph.label_places import place_labels
from replayt_cli.render.graph.layout import Graph, lay_out
from replayt_cli.render.graph.words import mermaid_text, remarks, summary_line, svg_text
from replayt_core import Event, MemoryStore, Runner, Workflow
from replayt_core.ports import EventStore
from replayt_core.records import Records
from replayt_store import JSONLStore, SQLiteStore
from replayt_store.selection import Selection
from tests.cli.helpers import Shell, one_line

SVG = "{http://www.w3.org/2000/svg}"
X = "\N{MULTIPLICATION SIGN}"

TRIAGE = """
from replayt_core import Workflow

wf = Workflow("triage", version="2")
wf.set_initial("read")


@wf.step("read", to=["urgent", "later", "spam"])
def read(ctx):
    return "urgent" if ctx.get("number") > 2 else "later"


@wf.step("urgent", to=["later"])
def urgent(ctx):
    if ctx.get("number") == 4:
        raise ValueError("four")
    return "later"


@wf.step("later")
def later(ctx):
    return None


@wf.step("spam")
def spam(ctx):
    return None
"""


def record(shell: Shell, text: str, numbers: range, where: str = ".replayt/runs") -> None:
    """Record a run of the workflow for each number, tagged with its parity."""
    names: dict[str, Workflow] = {}
    exec(text, names)  # noqa: S102 - the text above
    store = SQLiteStore(where) if where.endswith(".db") else JSONLStore(where, sync="os")
    for number in numbers:
        tags = {"parity": "odd" if number % 2 else "even"}
        Runner(names["wf"], store).run({"number": number}, tags=tags)


@pytest.fixture
def triage(shell: Shell) -> Shell:
    """A directory with the workflow and five runs of it, 0 to 4; the last one fails."""
    shell.write("flow.py", TRIAGE)
    record(shell, TRIAGE, range(5))
    return shell


def parse(drawn: str) -> ElementTree.Element:
    """The drawing as XML: raises where it is none."""
    return ElementTree.fromstring(drawn)  # noqa: S314 - our own


def edges_of(document: Mapping[str, list[dict[str, object]]]) -> dict[str, tuple[object, object]]:
    return {
        f"{edge['from']} {edge['to']}": (edge["count"], edge["runs"]) for edge in document["edges"]
    }


def test_runs_are_counted_on_edges_and_states(triage: Shell) -> None:
    document = triage.call("graph", "flow.py", "--runs", "--format", "json").json
    assert edges_of(document) == {
        "read urgent": (2, 2),
        "read later": (3, 3),
        "read spam": (0, 0),
        "urgent later": (1, 1),
    }
    visits = {state["name"]: state["visits"] for state in document["states"]}
    assert visits == {"read": 5, "urgent": 2, "later": 4, "spam": 0}
    assert document["workflow"] == "triage@2"
    assert document["initial"] == "read"
    assert document["declared"] is True
    assert document["counted"] == {
        "runs": 5,
        "versions": {"2": 5},
        "other_graph": 0,
        "damaged": 0,
        "elsewhere": [],
    }


def test_the_json_without_runs_has_the_same_shape(triage: Shell) -> None:
    counted = triage.call("graph", "flow.py", "--runs", "-f", "json").json
    plain = triage.call("graph", "flow.py", "-f", "json").json
    assert list(plain) == list(counted)
    assert plain["counted"] is None
    assert set(edges_of(plain).values()) == {(None, None)}
    assert [set(state) for state in plain["states"]] == [{"name", "visits"}] * 4


def test_mermaid_has_counts_and_dots_what_no_run_did(triage: Shell) -> None:
    ended = triage.call("graph", "flow.py", "--runs")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "flowchart TD",
        "    %% 5 runs of triage: 5 of version 2",
        '    s0(["read"])',
        '    s1["urgent"]',
        '    s2["later"]',
        '    s3["spam"]',
        '    s0 -->|"#215;2"| s1',
        '    s0 -->|"#215;3"| s2',
        "    s0 --> s3",
        '    s1 -->|"#215;1"| s2',
        "    start(( )) --> s0",
        "    linkStyle 2 stroke-dasharray:4 3",
        "    classDef never stroke-dasharray:4 3",
        "    class s3 never",
    ]


def test_svg_marks_what_was_taken_and_says_what_was_counted(triage: Shell) -> None:
    root = parse(triage.call("graph", "flow.py", "--runs", "-f", "svg").out)
    classes = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert classes.count("edge taken") == 3
    assert classes.count("edge idle") == 1
    assert classes.count("state idle") == 1
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {f"{X}1", f"{X}2", f"{X}3", "5 visits", "2 visits", "4 visits"} <= set(texts)
    assert texts[-1] == "5 runs of triage: 5 of version 2"
    described = root.findtext(f"{SVG}desc") or ""
    assert f"read to later (taken {X}3); read to spam (not taken)" in described
    assert described.endswith("5 runs of triage: 5 of version 2.")


def test_only_runs_of_this_workflow_with_the_tags_and_of_the_days(triage: Shell) -> None:
    record(triage, TRIAGE.replace('"triage"', '"other"'), range(3))
    words = ("graph", "flow.py", "--runs", "-f", "json")
    assert triage.call(*words).json["counted"]["runs"] == 5
    assert triage.call(*words, "--tag", "parity=odd").json["counted"]["runs"] == 2
    assert triage.call(*words, "--days", "1").json["counted"]["runs"] == 5
    for path in (triage.directory / ".replayt/runs").glob("*.jsonl"):
        if b'"parity":"odd"' in path.read_bytes():
            path.write_bytes(re.sub(rb'"ts":"\d{4}', b'"ts":"2001', path.read_bytes()))
    assert triage.call(*words, "--days", "1", "--tag", "parity=odd").json["counted"]["runs"] == 0


@pytest.mark.parametrize("option", ["--log-dir", "--store", "--sqlite"])
def test_every_store_is_read(shell: Shell, option: str) -> None:
    shell.write("flow.py", TRIAGE)
    where = "runs.db" if option == "--sqlite" else "logs"
    record(shell, TRIAGE, range(3), where)
    value = "jsonl:///logs" if option == "--store" else where
    document = shell.call("graph", "flow.py", "--runs", option, value, "-f", "json").json
    assert document["counted"]["runs"] == 3


def test_moves_that_the_graph_lost_are_named(triage: Shell) -> None:
    text = TRIAGE.replace('"2"', '"3"').replace('"urgent", "later", "spam"', '"urgent", "spam"')
    triage.write("flow.py", text)
    ended = triage.call("graph", "flow.py", "--runs", "-f", "json")
    assert edges_of(ended.json)["read urgent"] == (2, 2)
    assert ended.json["counted"]["other_graph"] == 5
    assert ended.json["counted"]["elsewhere"] == [{"from": "read", "to": "later", "count": 3}]
    assert ended.err.splitlines() == [
        "replayt: warning: 5 runs were recorded with another graph: moves that both have are "
        "counted",
        "replayt: warning: made by runs, but not in this graph: read -> later (3)",
    ]
    shown = triage.call("graph", "flow.py", "--runs").out
    assert "    %% made by runs, but not in this graph: read -> later (3)\n" in shown


def test_versions_are_named_the_commonest_first(triage: Shell) -> None:
    for version in range(3, 9):
        record(triage, TRIAGE.replace('"2"', f'"{version}"'), range(2))
    triage.write("flow.py", TRIAGE)
    line = triage.call("graph", "flow.py", "--runs").out.splitlines()[1]
    assert line.startswith("    %% 17 runs of triage: 5 of version 2, 2 of version ")
    assert line.endswith(", and 2 other versions")


def test_a_workflow_without_declared_edges_shows_the_moves_that_were_made(shell: Shell) -> None:
    text = re.sub(r", to=\[[^]]*\]", "", TRIAGE)
    shell.write("flow.py", text)
    record(shell, text, range(4))
    ended = shell.call("graph", "flow.py", "--runs", "-f", "json")
    assert ended.json["declared"] is False
    assert edges_of(ended.json) == {
        "read urgent": (1, 1),
        "read later": (3, 3),
        "urgent later": (1, 1),
    }
    assert "declares no edges" in ended.err


def test_a_damaged_log_counts_as_far_as_it_goes(triage: Shell) -> None:
    paths = sorted((triage.directory / ".replayt/runs").glob("*.jsonl"))
    path = next(path for path in paths if b'"later"' in path.read_bytes())
    lines = path.read_bytes().split(b"\n")
    entered = next(i for i, line in enumerate(lines) if b'"transition"' in line)
    path.write_bytes(b"\n".join([*lines[: entered + 2], b"broken", b""]))
    ended = triage.call("graph", "flow.py", "--runs", "-f", "json")
    assert ended.code == 0
    assert ended.json["counted"]["runs"] == 5
    assert ended.json["counted"]["damaged"] == 1
    assert sum(count for count, _ in edges_of(ended.json).values()) == 6  # type: ignore[misc]
    assert "1 log is damaged" in ended.err


def test_an_empty_store_makes_everything_never_taken(shell: Shell) -> None:
    shell.write("flow.py", TRIAGE)
    ended = shell.call("graph", "flow.py", "--runs")
    assert ended.code == 0
    assert "    %% 0 runs of triage\n" in ended.out
    assert "    linkStyle 0,1,2,3 stroke-dasharray:4 3\n" in ended.out
    assert not shell.directory.joinpath(".replayt").exists()


def test_what_chooses_runs_needs_runs(shell: Shell) -> None:
    shell.write("flow.py", TRIAGE)
    options = {"--tag": "a=b", "--days": "3", "--log-dir": "x", "--sqlite": "x.db", "--store": "y:"}
    for option, value in options.items():
        ended = shell.call("graph", "flow.py", option, value)
        assert ended.code == 64
        assert "give --runs with it" in one_line(ended)


def test_mistakes_are_one_line(shell: Shell) -> None:
    shell.write("flow.py", TRIAGE)
    mistakes = {
        ("--tag", "parity"): "is not KEY=VALUE",
        ("--days", "0"): "--days",
        ("--store", "nowhere:///x"): "nowhere",
        ("--log-dir", "a", "--sqlite", "b"): "name two places",
    }
    for words, said in mistakes.items():
        ended = shell.call("graph", "flow.py", "--runs", *words)
        assert ended.code == 64, words
        assert said in one_line(ended)
    missing = shell.call("graph", "missing.py", "--runs")
    assert missing.code == 66
    one_line(missing)


# --- Hostile names: SC-154

HOSTILE = [
    'say "hi"',
    "two words",
    "two\nlines",
    "a-b",
    "a_b",
    "%%{init: {'theme':'dark'}}%%",
    "]]> -->|x| </title><script>",
    "end",
    "\u202eevil",
]


def hostile() -> tuple[Workflow, MemoryStore]:
    """A workflow whose every text is hostile, and a run along all of its states but the last."""
    wf = Workflow("x %%{init: {}}%%\nend", version="%%{wrap}%%\n--> y")
    wf.set_initial(HOSTILE[0])

    def moving(target: str | None) -> object:
        return lambda ctx: None if target == HOSTILE[-1] else target

    for name, target in [*pairwise(HOSTILE), (HOSTILE[-1], None)]:
        wf.step(name, to=[target] if target else [])(moving(target))  # type: ignore[type-var]
    store = MemoryStore()
    assert Runner(wf, store).run().status == "completed"
    return wf, store


def test_hostile_names_end_no_comment_and_start_no_directive() -> None:
    """SC-154: Mermaid reads `%%{` as a setting even inside a comment."""
    wf, store = hostile()
    counts = count_runs(store, wf, Selection(workflow=wf.name))
    text = mermaid_text(wf, counts)
    assert "%%{" not in text
    lines = text.splitlines()
    forms = (
        r"flowchart TD",
        r"    %% [^%{}`\"\[\]]*",
        r'    s\d+(?:\(\[|\[)"(?:[\w .,:/()+-]|#\d+;)*"(?:\]\)|\])',
        r'    s\d+ -->(?:\|"#215;\d+"\|)? s\d+',
        r"    start\(\( \)\) --> s0",
        r"    linkStyle [\d,]+ stroke-dasharray:4 3",
        r"    classDef never stroke-dasharray:4 3",
        r"    class s[\d,s]+ never",
    )
    assert [line for line in lines if not any(re.fullmatch(form, line) for form in forms)] == []
    assert lines[-1] == f"    class s{len(HOSTILE) - 1} never"


def test_hostile_names_are_drawn_as_text() -> None:
    wf, store = hostile()
    drawn = svg_text(wf, count_runs(store, wf, Selection(workflow=wf.name)))
    root = parse(drawn)
    assert not list(root.iter(f"{SVG}script"))
    assert "\u202e" not in drawn
    note = list(root.iter(f"{SVG}text"))[-1].text
    assert note == "1 run of x %%{init: {}}%% end: 1 of version %%{wrap}%% --> y"


def test_other_workflows_with_other_texts_are_said_in_words() -> None:
    """Moves that are not in the graph are listed up to five, the rest counted."""
    wide = Workflow("w")
    wide.set_initial("s")
    names = [f"t{number}" for number in range(7)]

    @wide.step("s", to=names)
    def start(ctx: object) -> str:
        return ctx.get("to")  # type: ignore[attr-defined,no-any-return]

    for name in names:
        wide.step(name)(lambda ctx: None)
    store = MemoryStore()
    for name in names:
        Runner(wide, store).run({"to": name})
    narrow = Workflow("w")
    narrow.set_initial("s")
    narrow.step("s", to=["s"])(lambda ctx: None)
    counts = count_runs(store, narrow, Selection(workflow="w"))
    assert summary_line(counts) == "7 runs of w: 7 of version 1"
    *_, last = remarks(counts)
    assert last.endswith("and 2 more")
    assert len(counts.elsewhere) == 7


# --- Where labels go


def test_labels_of_a_fan_cover_neither_each_other_nor_a_state() -> None:
    names = ["first", "second", "third", "fourth", "fifth"]
    edges = [("root", name) for name in names] + [(name, "end") for name in names]
    graph = Graph(initial="root", states=["root", *names, "end"], edges=edges)
    picture = lay_out(graph, dict.fromkeys(graph.names, "12,345 visits"))
    labels = place_labels(picture, dict.fromkeys(edges, f"{X}12,345"), 7.0)
    assert len(labels) == len(edges)
    frames = [label.frame for label in labels]
    frames += [(box.x, box.y, box.x + box.width, box.y + box.height) for box in picture.boxes]
    for index, one in enumerate(frames):
        for other in frames[index + 1 :]:
            apart = (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            )
            assert apart


def test_a_label_that_is_wider_than_the_graph_is_inside_the_picture() -> None:
    wf = Workflow("loop")
    wf.set_initial("a")
    wf.step("a", to=["a", "b"])(lambda ctx: "a" if ctx.visit < 400 else "b")
    wf.step("b")(lambda ctx: None)
    store = MemoryStore()
    for _ in range(3):
        Runner(wf, store).run()
    root = parse(svg_text(wf, count_runs(store, wf, Selection(workflow="loop"))))
    left, _top, width, _height = map(float, str(root.get("viewBox")).split())
    texts = [group.findtext(f"{SVG}text") for group in root.iterfind(f".//{SVG}g[@class='label']")]
    assert sorted(map(str, texts)) == [f"{X}1,197", f"{X}3"]
    for rect in root.iterfind(f".//{SVG}g[@class='label']/{SVG}rect"):
        x, wide = float(str(rect.get("x"))), float(str(rect.get("width")))
        assert left <= x
        assert x + wide <= left + width


class Watched:
    """A store that notes how many events and rows of runs are alive when a run is read."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.events: list[int] = []
        self.rows: list[int] = []

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        self.store.append(run_id, events, after=after)

    def run_ids(self) -> Iterator[str]:
        return self.store.run_ids()

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        kinds = Counter(map(type, gc.get_objects()))
        self.events.append(kinds[Event])
        self.rows.append(kinds[Records])
        return self.store.read(run_id, after=after)


def test_of_all_runs_one_at_a_time_is_in_memory(triage: Shell) -> None:
    names: dict[str, Workflow] = {}
    exec(TRIAGE, names)  # noqa: S102 - the text above
    record(triage, TRIAGE, range(10))
    store = Watched(JSONLStore(".replayt/runs"))
    gc.collect()
    gc.freeze()  # what is there already is neither looked through for each run nor counted
    try:
        counts = count_runs(store, names["wf"], Selection(workflow="triage"))
    finally:
        gc.unfreeze()
    assert counts.runs == 15
    assert len(store.events) >= 15
    longest = max(len(list(JSONLStore(".replayt/runs").read(id_))) for id_ in store.run_ids())
    assert max(store.events) <= longest
    assert max(store.rows) <= 1


def test_a_second_attempt_is_no_second_visit(shell: Shell) -> None:
    shell.write("tries.py", TRIES)
    assert shell.call("run", "tries.py").code == 0
    document = shell.call("graph", "tries.py", "--runs", "-f", "json").json
    assert document["states"] == [{"name": "only", "visits": 1}]


TRIES = """
from replayt_core import RetryPolicy, Workflow

wf = Workflow("tries")
wf.set_initial("only")


@wf.step("only", retries=RetryPolicy(max_attempts=2, backoff_seconds=0))
def only(ctx):
    if ctx.attempt == 1:
        raise ValueError("no luck")
"""
