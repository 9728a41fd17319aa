"""A workflow is explicit: what is declared, what is refused, what the graph says."""

from __future__ import annotations

import enum
import functools
from typing import Any

import pytest

from replayt_core import DefinitionError, MemoryStore, RetryPolicy, Runner, Workflow
from tests.core.helpers import one_step, run_once


def test_a_workflow_has_a_name_and_version_1_unless_told() -> None:
    """SC-18."""
    assert (Workflow("w").name, Workflow("w").version) == ("w", "1")
    assert Workflow("w", version="2.1").version == "2.1"


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_workflow_without_a_name_is_refused(name: object) -> None:
    """SC-18."""
    with pytest.raises(DefinitionError, match="name"):
        Workflow(name)  # type: ignore[arg-type]


def test_running_without_an_initial_state_names_set_initial_and_writes_nothing() -> None:
    """SC-19."""
    wf = Workflow("w")
    wf.step("a")(lambda ctx: None)
    store = MemoryStore()
    with pytest.raises(DefinitionError, match="set_initial"):
        Runner(wf, store).run(run_id="r")
    assert list(store.run_ids()) == []


def test_an_initial_state_without_a_step_is_refused_before_anything_is_written() -> None:
    """SC-19."""
    wf = Workflow("w")
    wf.set_initial("b")
    store = MemoryStore()
    with pytest.raises(DefinitionError, match="'b'"):
        Runner(wf, store).run(run_id="r")
    assert list(store.run_ids()) == []


def test_step_returns_the_function_unchanged() -> None:
    """SC-20."""

    def handler(ctx: object) -> None:
        return None

    assert Workflow("w").step("a")(handler) is handler


def test_a_step_takes_retries_and_expects_as_list_or_mapping() -> None:
    """SC-21."""
    wf = Workflow("w")
    policy = RetryPolicy(3, 0.5)
    wf.step("a", retries=policy, expects=["x"])(lambda ctx: None)
    wf.step("b", expects={"x": int})(lambda ctx: None)
    assert wf.steps["a"].retries is policy
    assert list(wf.steps["a"].expects) == ["x"]
    assert wf.steps["b"].expects == {"x": int}


def test_note_transition_declares_an_edge_once() -> None:
    """SC-22."""
    wf = Workflow("w")
    wf.note_transition("a", "b")
    wf.note_transition("a", "b")
    wf.step("a", to=["b", "c"])(lambda ctx: None)
    assert wf.edges == [("a", "b"), ("a", "c")]
    assert wf.targets("a") == ["b", "c"]


def test_without_any_edge_nothing_is_restricted() -> None:
    """SC-22, SC-37."""
    assert one_step(lambda ctx: None).targets("only") is None


def test_a_step_declared_twice_is_refused() -> None:
    """SC-20."""
    wf = Workflow("w")
    wf.step("a")(lambda ctx: None)
    with pytest.raises(DefinitionError, match="twice"):
        wf.step("a")(lambda ctx: None)


@pytest.mark.parametrize("state", ["", None, 5, "\ud800"])
def test_a_state_is_a_non_empty_text(state: object) -> None:
    """SC-20, SC-22."""
    wf = Workflow("w")
    for declare in (wf.set_initial, wf.step, lambda s: wf.note_transition("a", s)):
        with pytest.raises(DefinitionError, match="state"):
            declare(state)  # type: ignore[operator]


def test_a_text_where_a_list_is_meant_is_refused() -> None:
    """SC-21: `to="done"` would declare four one-letter states."""
    wf = Workflow("w")
    with pytest.raises(DefinitionError, match="list"):
        wf.step("a", to="done")
    with pytest.raises(DefinitionError, match="list"):
        wf.step("a", expects="key")
    with pytest.raises(DefinitionError, match="callable"):
        wf.step("a")("no handler")  # type: ignore[type-var]


@pytest.mark.parametrize(
    "wrong", [{"retries": 2}, {"timeout": "5"}, {"timeout": 0}, {"timeout": True}]
)
def test_a_number_where_a_policy_is_meant_is_refused(wrong: dict[str, Any]) -> None:
    """SC-21: at the step that says it, not when the step first fails."""
    [name] = wrong
    with pytest.raises(DefinitionError, match=f"step 'a': .*{name}"):
        Workflow("w").step("a", **wrong)


@pytest.mark.parametrize("attempts", [0, -1, 101])
def test_a_retry_policy_with_no_attempt_is_refused_where_it_is_declared(attempts: int) -> None:
    """SC-21, RELIABILITY b2: in 0.2 `max_attempts=0` completed without running the handler."""
    with pytest.raises(DefinitionError, match="max_attempts"):
        RetryPolicy(attempts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"backoff_seconds": -1.0},
        {"backoff_seconds": float("nan")},
        {"max_backoff_seconds": -1.0},
        {"multiplier": 0.5},
        {"jitter": 2.0},
        {"jitter": -0.1},
        {"retry_on": [ValueError]},
        {"retry_on": ("ValueError",)},
        {"retry_on": (KeyboardInterrupt,)},
    ],
)
def test_a_retry_policy_that_cannot_be_followed_is_refused(wrong: dict[str, Any]) -> None:
    """SC-21, SC-42."""
    with pytest.raises(DefinitionError):
        RetryPolicy(2, **wrong)  # type: ignore[arg-type]


def test_the_code_hash_is_that_of_the_dedented_source_and_null_where_there_is_none() -> None:
    """DESIGN 5, resume: `code` is the SHA-256 of the source text, never of bytecode."""

    def inner(ctx: object) -> None:
        return None

    wf = Workflow("w")
    wf.step("a")(inner)
    wf.step("b")(inner)
    wf.step("c")(functools.partial(inner))
    code = wf.code()
    assert code["a"] == code["b"]
    assert len(code["a"] or "") == 64
    assert code["c"] is None


def test_check_lists_all_faults_of_a_graph_at_once() -> None:
    """SC-19, SC-22: unset initial, unknown source, unknown target."""
    wf = Workflow("w")
    wf.step("a", to=["nowhere"])(lambda ctx: None)
    wf.note_transition("ghost", "a")
    assert {finding.code for finding in wf.check()} == {
        "no-initial",
        "unknown-edge-source",
        "unknown-edge-target",
    }
    wf.set_initial("a")
    wf.step("island")(lambda ctx: None)
    assert "unreachable" in {finding.code for finding in wf.check()}


def test_a_sound_graph_has_no_findings() -> None:
    """SC-22."""
    wf = Workflow("w")
    wf.set_initial("a")
    wf.step("a", to=["b", "a"])(lambda ctx: None)
    wf.step("b")(lambda ctx: None)
    assert wf.check() == []


def test_states_may_be_members_of_a_text_enum() -> None:
    """SC-20, SC-28: what is declared and returned is the text, live as in the log."""

    class State(str, enum.Enum):
        first = "first-state"
        second = "second-state"

    wf = Workflow("w")
    wf.set_initial(State.first)
    wf.step(State.first, to=[State.second])(lambda ctx: State.second)
    wf.step(State.second)(lambda ctx: None)
    result = Runner(wf, MemoryStore()).run()
    assert (result.status, result.final_state) == ("completed", "second-state")


def test_an_async_handler_is_refused_by_the_sync_runner() -> None:
    """SC-44: the failure is written, and no coroutine is left behind un-awaited."""

    async def handler(ctx: object) -> None:
        return None

    result = run_once(handler)
    assert result.status == "failed"
    assert "async def" in (result.error or {})["message"]
