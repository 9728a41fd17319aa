"""`replay --step`, in a pseudo-terminal as somebody uses it, and the walk behind it."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, overload

import pytest

from replayt_cli.render.step_dialog import HELP
from replayt_cli.show.walk import Walk
from replayt_core import Event, fold
from replayt_core.chain import first_prev, seal
from replayt_core.events import Draft
from replayt_store import JSONLStore
from tests.cli.helpers import ASKS_MODEL, GATE, HELLO, Shell
from tests.cli.helpers import one_line as mistake
from tests.cli.test_inspect import LOOPS
from tests.cli.test_show import HOSTILE, RAW, hostile_run

TS = "2026-01-02T03:04:05.678901Z"


class Walker:
    """Somebody at a terminal of 80 columns and 24 lines."""

    def __init__(self, shell: Shell, *words: str, rows: int = 24) -> None:
        terminal = pytest.importorskip("tests.cli.terminal")
        asked = ("replay", *words, "--step")
        self._ended = terminal.ended
        self.child = terminal.spawn(shell.directory, *asked, rows=rows, NO_COLOR="1")
        self.child.delaybeforesend = None
        self.begun = self._shown()

    def says(self, line: str) -> str:
        """What is shown after that line was typed."""
        self.child.sendline(line)
        return self._shown()

    def _shown(self) -> str:
        self.child.expect([r"\d+/\d+> ", r"-- \d+ more: Enter goes on, q ends -- "])
        shown = self.child.before.replace("\r\n", "\n")
        assert not RAW & set(shown)
        assert "\r" not in shown
        told = [line for line in shown.split("\n") if not line.startswith("replayt: ")]
        assert max(map(len, told)) <= 80
        self.prompt = self.child.after.strip()
        return str(shown)

    def ends(self) -> int:
        """The exit code; nothing else is shown than the end of the line."""
        code, sent = self._ended(self.child)
        assert sent.replace("^C", "").replace("^D", "").strip("\b \r\n") == ""
        assert self.child.signalstatus is None
        return int(code)


@pytest.fixture
def looped(shell: Shell) -> Shell:
    shell.write("flow.py", LOOPS)
    assert shell.call("run", "flow.py", "--run-id", "a").code == 0
    return shell


def test_forward_back_first_last_and_quit(looped: Shell) -> None:
    total = len(looped.events("a"))
    walker = Walker(looped, "a")
    assert walker.begun.splitlines()[0] == "run a  loops@1  completed"
    assert f"{total} events; ? for help, q to quit" in walker.begun
    assert "run of loops@1 starts" in walker.begun
    assert walker.prompt == f"1/{total}>"
    for asked, words, seq in (
        ("n", "enter think", 2),
        ("", "note thought: round 1", 3),
        ("next", "leave think", 4),
        ("p", "note thought: round 1", 3),
        ("b", "enter think", 2),
        ("f", "run of loops@1 starts", 1),
        ("p", "this is the first event", 1),
        ("l", "run ends: completed", total),
        ("n", "this is the last event", total),
        ("", "this is the last event", total),
        ("first", "run of loops@1 starts", 1),
    ):
        assert words in walker.says(asked)
        assert walker.prompt == f"{seq}/{total}>"
    walker.child.sendline("q")
    assert walker.ends() == 0


def test_jumps_to_a_seq_and_to_a_state(looped: Shell) -> None:
    entries = {
        (event["payload"]["state"], event["payload"]["visit"]): event["seq"]
        for event in looped.events("a")
        if event["type"] == "state_entered"
    }
    walker = Walker(looped, "a")

    def at(asked: str) -> int:
        walker.says(asked)
        return int(walker.prompt.partition("/")[0])

    assert [at("g act") for _ in range(4)] == [entries["act", n] for n in (1, 2, 3, 1)]
    assert at("g act:2") == entries["act", 2]
    assert at("G rest") == entries["rest", 1]
    assert at("g 7") == 7
    assert at(" 5 ") == 5
    for nowhere in ("g 0", "g 999", "g nosuch", "g act:9", "999999999999999999999"):
        shown = " ".join(walker.says(nowhere).split())
        assert "seqs go from 1 to " in shown
        assert "the states are think, act, rest" in shown
        assert walker.prompt.startswith("5/")
    assert "go where?" in walker.says("g")
    for odd in ("frob", "n 5", "\x01\x1f", "é"):
        shown = walker.says(odd)
        assert "no command" in shown or not odd.isprintable()
        assert walker.prompt.startswith("5/")


def test_the_context_at_a_point_and_what_changed_there(looped: Shell) -> None:
    walker = Walker(looped, "a")
    assert "the context is empty" in walker.says("c")
    exits = [
        event["seq"]
        for event in looped.events("a")
        if event["type"] == "state_exited" and event["payload"]["state"] == "act"
    ]
    assert "context: 1 key; changed here: +rounds" in walker.says(f"g {exits[0]}")
    assert walker.says("w").strip() == "+ rounds: 1"
    assert walker.says("c").strip() == "+ rounds: 1"
    assert "context: 1 key; changed here: ~rounds" in walker.says(f"g {exits[1]}")
    assert walker.says("w").strip() == "- rounds: 1\n+ rounds: 2"
    assert "changed here" not in walker.says("n")
    assert walker.says("w").strip() == "this event changed nothing of the context"
    assert walker.says("c").strip() == "rounds: 2"
    walker.says(f"g {exits[0]}")
    assert walker.says("c").strip() == "+ rounds: 1"


def test_details_are_all_that_is_kept(shell: Shell) -> None:
    shell.write("flow.py", ASKS_MODEL.replace('"which?"', '"Which one?\\n  Choose.\\n\\nNow."'))
    assert (
        shell.call("run", "flow.py", "--run-id", "a", "--dry-run", "--log-mode", "full").code == 0
    )
    by_type = {event["type"]: event for event in shell.events("a")}
    walker = Walker(shell, "a", rows=60)
    walker.says(f"g {by_type['llm_request']['seq']}")
    shown = walker.says("d")
    assert "| Which one?\n" in shown
    assert "|   Choose.\n" in shown
    assert by_type["llm_request"]["payload"]["messages"][0]["sha256"] in shown
    walker.says(f"g {by_type['tool_call']['seq']}")
    shown = walker.says("d")
    assert "name: double" in shown
    assert f"x: {by_type['tool_call']['payload']['arguments']['x']}" in shown
    walker.says(f"g {by_type['structured_output']['seq']}")
    assert "schema_name: Answer" in walker.says("d")


def test_more_than_a_screen_is_shown_a_screen_at_a_time(shell: Shell) -> None:
    started = Draft("run_started", {"log_schema": 1, "inputs": {f"k{n}": n for n in range(60)}})
    log = seal("a", [started], after=0, head=first_prev("a"), ts=TS)
    JSONLStore(".replayt/runs", sync="os").append("a", log, after=0)
    walker = Walker(shell, "a")
    assert len(walker.begun.splitlines()) <= 24
    shown = []
    page = walker.says("c")
    while "more: Enter goes on" in walker.prompt:
        assert len(page.splitlines()) <= 23
        shown += page.split()
        page = walker.says("")
    shown += page.split()
    assert [word for word in shown if word.startswith("k")] == [f"k{n}:" for n in range(60)]
    walker.says("c")
    walker.says("q")
    assert walker.prompt == "1/1>"


def test_exactly_a_screen_asks_for_no_more(shell: Shell) -> None:
    started = Draft("run_started", {"log_schema": 1, "inputs": {f"k{n}": n for n in range(22)}})
    log = seal("a", [started], after=0, head=first_prev("a"), ts=TS)
    JSONLStore(".replayt/runs", sync="os").append("a", log, after=0)
    walker = Walker(shell, "a")
    assert len(walker.says("c").splitlines()) == 22
    assert walker.prompt == "1/1>"


def test_the_help_fits_and_names_every_command(looped: Shell) -> None:
    walker = Walker(looped, "a")
    assert walker.says("?").strip() == HELP.strip() == walker.says("help").strip()
    assert max(map(len, HELP.splitlines())) <= 80
    for word in ("n,", "p,", "f ", "l ", "g ", "c ", "w ", "d ", "? ", "q,"):
        assert word in HELP


@pytest.mark.parametrize("at_pager", [False, True])
def test_ctrl_d_and_ctrl_c_end_it_cleanly(looped: Shell, at_pager: bool) -> None:
    for key, code in (("d", 0), ("c", 130)):
        walker = Walker(looped, "a", rows=10)
        if at_pager:
            walker.says("1")
            walker.says("d")
            assert "more" in walker.prompt
        walker.child.sendcontrol(key)
        assert walker.ends() == code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--step asks on a terminal, and stdin or stdout is none"),
        (["--format", "json"], "--step walks on a terminal: leave out --format json"),
        (["--format", "html"], "--step walks on a terminal: leave out --format html"),
        (["--format", "html", "--out", "x.html"], "leave out --format html"),
        (["--out", "x.html"], "--out writes a page"),
    ],
)
def test_without_a_terminal_it_says_what_to_use(looped: Shell, words: list[str], told: str) -> None:
    """SC-119."""
    ended = looped.process("replay", "a", "--step", *words, stdin="n\n")
    assert ended.code == 64
    assert told in mistake(ended)
    assert not (looped.directory / "x.html").exists()


def test_an_unknown_run_is_66(shell: Shell) -> None:
    """SC-141."""
    terminal = pytest.importorskip("tests.cli.terminal")
    code, _ = terminal.run(shell.directory, "replay", "nosuch", "--step")
    assert code == 66


def test_a_broken_log_is_walked_as_far_as_it_can_be_read(looped: Shell) -> None:
    path = looped.log("a")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"no line\n"]))
    walker = Walker(looped, "a")
    assert "damaged" in walker.begun.splitlines()[0]
    assert "a.jsonl, line 3" in walker.begun.replace("\n", "")
    walker.says("l")
    assert walker.prompt == "2/2>"
    walker.child.sendline("q")
    assert walker.ends() == 65


def test_nothing_of_a_log_reaches_the_terminal_raw(shell: Shell) -> None:
    """Every event, in every view; `Walker` looks at each screen."""
    hostile_run(shell)
    inputs = json.dumps({HOSTILE: [HOSTILE, {HOSTILE: f"{HOSTILE}\n{HOSTILE}"}]})
    assert shell.call("run", "flow.py", "--run-id", "a", "--inputs-json", inputs).code == 2
    assert shell.call("resume", "flow.py", "a", "--approval", f"a{HOSTILE}").code == 0
    walker = Walker(shell, "a", rows=200)
    shown = walker.begun
    for _ in shell.events("a"):
        for asked in ("c", "w", "d", "n"):
            shown += walker.says(asked)
    assert r"\x1b[2J" in shown
    assert r"\u202e" in shown
    walker.says(f"g {HOSTILE}".replace("\x00", "").replace("\r", ""))


def test_any_payload_can_be_walked(shell: Shell) -> None:
    deep: Any = "end"
    for _ in range(60):
        deep = {"k": [deep]}
    odd: list[tuple[str, Any]] = [
        ("run_started", {"log_schema": 1, "inputs": {"deep": deep, "no": None, "e": [], "t": ""}}),
        ("state_entered", {"state": 3}),
        ("state_exited", {"context": {"set": 1}}),
        (
            "never_heard_of",
            {"a": {"b": [[1, [2]], {}]}, "number": "12", "spaces": " x ", "j": '{"a": 1}'},
        ),
        ("run_completed", {"status": 4}),
    ]
    drafts = [Draft(kind, payload) for kind, payload in odd]
    events = seal("a", drafts, after=0, head=first_prev("a"), ts="no time")
    JSONLStore(".replayt/runs", sync="os").append("a", events, after=0)
    walker = Walker(shell, "a", rows=100)
    shown = "".join(walker.says(asked) for _ in odd for asked in ("c", "w", "d", "n"))
    assert 'number: "12"' in shown
    assert 'spaces: " x "' in shown
    assert '  j: {"a": 1}\n' in shown


@pytest.mark.parametrize("flow", [HELLO, GATE])
def test_a_run_of_another_store_is_walked(shell: Shell, flow: str) -> None:
    shell.write("flow.py", flow)
    assert shell.call("run", "flow.py", "--run-id", "a", "--sqlite", "runs.db").code in {0, 2}
    walker = Walker(shell, "a", "--sqlite", "runs.db")
    assert walker.says("l")
    walker.child.sendline("quit")
    assert walker.ends() == 0


# --- the walk -----------------------------------------------------------------------------------


class Counted(Sequence[Event]):
    """Events that count how often one of them is taken."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self.taken = 0

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Event]: ...
    def __getitem__(self, at: int | slice) -> Event | Sequence[Event]:
        self.taken += 1
        return self._events[at]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)


def long_run(rounds: int) -> list[Event]:
    """A run whose every visit changes the context, asks, and is answered."""
    drafts = [Draft("run_started", {"log_schema": 1, "inputs": {"n": -1, "list": [1]}})]
    for n in range(rounds):
        seq = len(drafts) + 1
        asked = {"approval_id": "go", "state": "s", "visit": n + 1, "details": {"n": n}}
        answer = {"approval_id": "go", "request_seq": seq + 1, "approved": True}
        delta = {"set": {"n": n, f"k{n % 7}": {"n": n}}, "unset": [f"k{(n + 3) % 7}"]}
        exited = {"state": "s", "next_state": "s", "context": delta, "elapsed_ms": 1}
        drafts += [
            Draft("state_entered", {"state": "s", "visit": n + 1, "attempt": 1}),
            Draft("approval_requested", asked),
            Draft("approval_resolved", answer),
            Draft("run_resumed", {"epoch": n + 2, "reason": "approval"}),
            Draft("approval_applied", answer),
            Draft("step_note", {"state": "s", "kind": "k", "summary": None, "data": n}),
            Draft("state_exited", exited),
            Draft("transition", {"from_state": "s", "to_state": "s", "because": []}),
        ]
    return seal("a", drafts, after=0, head=first_prev("a"), ts=TS)


@pytest.mark.parametrize("every", [1, 7, 50, 10_000])
def test_every_point_is_what_the_fold_says(every: int) -> None:
    events = long_run(12)
    walk = Walk("a", events, every=every)
    places = [*range(len(events)), *reversed(range(len(events))), 5, 90, 3, 60, 59, 58, 96]
    for place in places:
        walk.go_to(place)
        point = walk.point()
        before, after = fold("a", events[:place]), fold("a", events[: place + 1])
        assert point.event is events[place]
        assert point.entry.seq == place + 1
        assert point.context == after.context
        assert (point.state, point.visit, point.attempt) == (
            after.state,
            after.visit,
            after.attempt,
        )
        changed = {change.key: (change.was, change.now) for change in point.changes}
        assert changed == {
            key: (before.context.get(key), after.context.get(key))
            for key in {**before.context, **after.context}
            if before.context.get(key) != after.context.get(key)
        }


def test_a_step_back_folds_no_more_than_from_the_last_state_that_is_kept() -> None:
    """Counted, so that a walk to the start of a long run does not fold the run at each step."""
    events = Counted(long_run(500))
    walk = Walk("a", events, every=100)
    events.taken = 0
    walk.go_to(-1)
    walk.point()
    assert events.taken <= 100 + 2
    for _ in range(300):
        events.taken = 0
        assert walk.move(-1)
        walk.point()
        assert events.taken <= 100 + 2
    events.taken = 0
    for _ in range(200):
        assert walk.move(1)
        walk.point()
    assert events.taken <= 200 * 2 + 100


def test_keeping_states_costs_the_same_however_much_one_attempt_did() -> None:
    """Counted: the effects of an attempt are not copied one by one, for each state that is kept."""

    def copies(notes: int) -> int:
        note = Draft("step_note", {"state": "s", "kind": "k", "summary": None, "data": {"a": 1}})
        drafts = [
            Draft("run_started", {"log_schema": 1}),
            Draft("state_entered", {"state": "s", "visit": 1, "attempt": 1}),
            *[note] * notes,
        ]
        events = seal("a", drafts, after=0, head=first_prev("a"), ts=TS)
        count = 0

        def look(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "call" and frame.f_code is copy.deepcopy.__code__

        sys.setprofile(look)
        try:
            Walk("a", events, every=len(events) // 4 + 1)
        finally:
            sys.setprofile(None)
        return count

    assert copies(1_000) == copies(100)


def test_a_value_that_is_written_again_alike_is_no_change() -> None:
    def left(seq: int, **values: Any) -> Draft:
        delta = {"set": values, "unset": []}
        return Draft("state_exited", {"state": "s", "next_state": None, "context": delta})

    drafts = [
        Draft("run_started", {"log_schema": 1, "inputs": {"same": [1], "kind": 1}}),
        Draft("state_entered", {"state": "s", "visit": 1, "attempt": 1}),
        left(3, same=[1], kind=True),
    ]
    walk = Walk("a", seal("a", drafts, after=0, head=first_prev("a"), ts=TS))
    walk.go_to(-1)
    assert [change.key for change in walk.point().changes] == ["kind"]
