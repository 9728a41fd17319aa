"""Workflows from YAML files run, are verified, resumed and graphed like those written in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from replayt_core import AsyncRunner, LogMode, MemoryStore, Runner, Workflow, resolve, verify
from replayt_core.testing import FrozenClock, MockLLMClient, run_with_mock
from replayt_core.yaml_spec import load_workflow, parse_workflow
from tests.core.helpers import RUN, cut_behind, log, only, payloads, types
from tests.core.yaml_files import APPROVAL, GOOD, TOOLS, steps

pytest.importorskip("yaml", reason="PyYAML is not installed here: the extra `yaml`")


@pytest.fixture(autouse=True)
def _tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("yaml_demo_tools.py").write_text(TOOLS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def mock(*replies: str) -> MockLLMClient:
    client = MockLLMClient()
    for reply in replies:
        client.enqueue(reply)
    return client


def run(
    workflow: Workflow, store: MemoryStore, good: Mapping[str, Any] | None, *replies: str
) -> Any:
    return run_with_mock(
        workflow,
        store,
        mock(*replies),
        inputs=good,
        run_id=RUN,
        log_mode=LogMode.full,
        clock=FrozenClock(),
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_file_runs_and_is_verified_by_executing_it_again(name: str) -> None:
    """SC-181, SC-183: the context is what the steps say, and the log is what they do."""
    good, store = GOOD[name], MemoryStore()
    workflow = parse_workflow(good.text)
    result = run(workflow, store, good.inputs, *good.replies)
    assert (result.status, result.error) == ("completed", None)
    assert result.final_state == good.ends
    if good.context:
        assert result.context == good.context
    found = verify(parse_workflow(good.text), log(store))
    assert found.ok, found.difference
    assert found.executed
    assert not found.notes
    assert not found.not_replayable


@pytest.mark.parametrize("name", GOOD)
def test_the_async_runner_writes_the_same_events(name: str) -> None:
    good, plain, awaited = GOOD[name], MemoryStore(), MemoryStore()
    workflow = parse_workflow(good.text)
    run(workflow, plain, good.inputs, *good.replies)
    runner = AsyncRunner(workflow, awaited, llm_client=mock(*good.replies), log_mode=LogMode.full)
    result = asyncio.run(runner.run(good.inputs, run_id=RUN))
    assert result.status == "completed"
    assert types(awaited) == types(plain)


def test_what_the_model_is_asked() -> None:
    """SC-183: prompt, system, model, temperature and schema; what is not text is compact JSON."""
    text = steps("""
        a:
          require: [who, items]
          set: {limit: 2}
          llm:
            system: Be brief with {who.name}.
            prompt: |
              At most {limit} of {items}, {{as is}}.
            model: tiny-1
            temperature: 0
            schema: {pick: {enum: [x, y], description: the best}}
            output_key: choice
        """)
    client = mock('{"pick": "x"}')
    run_with_mock(
        parse_workflow(text),
        MemoryStore(),
        client,
        inputs={"who": {"name": "Zoë {x}"}, "items": ["ø", 1]},
    )
    (request,) = client.requests
    assert [dict(message) for message in request.messages] == [
        {"role": "system", "content": "Be brief with Zoë {x}."},
        {"role": "user", "content": 'At most 2 of ["ø",1], {as is}.\n'},
    ]
    assert request.settings.overrides() == {"model": "tiny-1", "temperature": 0}
    assert request.schema is not None
    assert request.schema.name == "choice"
    pick = request.schema.json_schema["properties"]["pick"]
    assert (pick["enum"], pick["description"]) == (["x", "y"], "the best")
    assert request.schema.json_schema["required"] == ["pick"]


def test_a_reply_that_does_not_fit_the_schema_fails_the_step() -> None:
    text = steps("a: {llm: {prompt: x, schema: {n: integer}, output_key: out}}")
    store = MemoryStore()
    result = run(parse_workflow(text), store, None, '{"n": "many"}')
    assert result.status == "failed"
    assert only(store, "structured_output_failed")["schema_name"] == "out"
    assert "out" not in result.context
    assert verify(parse_workflow(text), log(store)).ok


@pytest.mark.parametrize(("approved", "ends"), [(True, "pay"), (False, "stop")])
def test_an_approval_pauses_and_its_answer_leads_on(approved: bool, ends: str) -> None:
    """SC-182: id, summary, details, on_approve, on_reject."""
    store = MemoryStore()
    paused = run(parse_workflow(APPROVAL), store, {"amount": 12.5}, '{"why": "because"}')
    assert paused.status == "paused"
    asked = only(store, "approval_requested")
    assert asked["approval_id"] == "spend"
    assert asked["summary"] == "Spend 12.5? because"
    assert asked["details"] == {
        "amount": 12.5,
        "all": {"why": "because"},
        "fixed": [1, True, "x"],
    }
    resolve(store, RUN, "spend", approved=approved, by="ada")
    result = Runner(parse_workflow(APPROVAL), store).run(run_id=RUN, resume=True)
    assert (result.status, result.final_state) == ("completed", ends)
    assert len(payloads(store, "llm_request")) == 1
    assert result.context["reason"] == {"why": "because"}
    assert verify(parse_workflow(APPROVAL), log(store)).ok


def test_retry_tries_again_and_waits() -> None:
    """SC-184."""
    text = steps("""
        a:
          require: [key]
          tool: {function: "yaml_demo_tools:flaky", arguments: {key: "{key}"}, output_key: tries}
          retry: {max_attempts: 3, backoff_seconds: 2.5}
        """)
    store = MemoryStore()
    result = run(parse_workflow(text), store, {"key": "retry"})
    assert (result.status, result.context["tries"]) == ("completed", 3)
    waits = [payload["delay_seconds"] for payload in payloads(store, "retry_scheduled")]
    assert waits == [2.5, 2.5]
    assert verify(parse_workflow(text), log(store)).ok


def test_no_retry_is_one_attempt() -> None:
    """SC-184."""
    text = steps("a: {tool: {function: 'yaml_demo_tools:flaky', arguments: {key: once}}}")
    result = run(parse_workflow(text), MemoryStore(), None)
    assert result.status == "failed"
    assert "the vendor is away" in str(result.error)


def test_a_run_that_died_after_its_model_call_goes_on_without_another() -> None:
    store = MemoryStore()
    good = GOOD["llm with every type"]
    run(parse_workflow(good.text), store, good.inputs, *good.replies)
    left = cut_behind(store, "structured_output")
    runner = Runner(parse_workflow(good.text), left, llm_client=mock(), log_mode=LogMode.full)
    result = runner.run(run_id=RUN, resume=True)
    assert (result.status, result.final_state, result.served_calls) == ("completed", "c", 1)
    assert verify(parse_workflow(good.text), log(left)).ok


def test_targets_are_edges_of_the_graph() -> None:
    """SC-155: those of `next`, `branch`, `approval`, and `edges`."""
    text = steps(
        """
        a: {next: b}
        b: {require: [x], branch: {key: x, cases: {p: c, q: d}, default: a}}
        c: {approval: {id: i, on_approve: d, on_reject: a}}
        d: {}
        """,
        more="edges: [[d, a], [a, b]]\n",
    )
    workflow = parse_workflow(text)
    assert workflow.graph() == {
        "initial": "a",
        "states": ["a", "b", "c", "d"],
        "edges": [
            ["a", "b"],
            ["b", "c"],
            ["b", "d"],
            ["b", "a"],
            ["c", "d"],
            ["c", "a"],
            ["d", "a"],
        ],
    }
    assert workflow.check() == []


def test_a_step_that_nothing_leads_to_is_a_finding_not_an_error() -> None:
    text = steps("a: {next: a}\nb: {llm: {prompt: '{x}', output_key: y}}")
    found = parse_workflow(text).check()
    assert [finding.code for finding in found] == ["unreachable"]


@pytest.mark.parametrize(
    ("text", "inputs", "says"),
    [
        ("a: {require: [x]}", {}, "key 'x' is missing"),
        ("a: {require: {x: integer}}", {"x": "3"}, "key 'x' is str, expected int"),
        (
            "a: {require: {x: {fields: {y: string}}}}",
            {"x": {"y": 1}},
            "key 'x' is dict, expected a_x (y: string_type)",
        ),
        ("a: {require: {x: {enum: [p, q]}}}", {"x": "r"}, "key 'x' is str"),
        (
            "a: {require: [x], llm: {prompt: '{x.y}', output_key: z}}",
            {"x": {}},
            "step 'a' (flow.yaml:4): 'x' has no field 'y'",
        ),
        (
            "a: {require: [x], llm: {prompt: '{x.y.z}', output_key: z}}",
            {"x": {"y": [1]}},
            "'x.y' is a list, so it has no field 'z'",
        ),
        (
            "a: {require: [x], branch: {key: x, cases: {p: a}}}",
            {"x": "secret"},
            "branch on 'x': its value is none of p",
        ),
        (
            "a: {require: [x], branch: {key: x, cases: {p: a}}}",
            {"x": {"p": 1}},
            "branch on 'x': it is an object; name a field of it",
        ),
    ],
)
def test_a_context_that_does_not_fit_fails_naming_key_and_step(
    text: str, inputs: dict[str, Any], says: str
) -> None:
    """SC-181: and never with the value, which no log mode but `full` keeps."""
    Path("flow.yaml").write_text(steps(text), encoding="utf-8")
    result = Runner(load_workflow("flow.yaml"), MemoryStore()).run(inputs)
    assert result.status == "failed"
    assert result.error["type"] == "ContextSchemaError"
    assert says in result.error["message"]
    assert "in step 'a'" in result.error["message"]
    assert "secret" not in result.error["message"]


def test_a_name_that_only_another_way_gives_is_an_error_of_the_run() -> None:
    text = steps("""
        a: {require: [go], branch: {key: go, cases: {x: b, y: c}}}
        b: {set: {word: hi}, next: c}
        c: {llm: {prompt: "{word}", output_key: out}}
        """)
    assert run(parse_workflow(text), MemoryStore(), {"go": "x"}, "ok").status == "completed"
    failed = run(parse_workflow(text), MemoryStore(), {"go": "y"}, "ok")
    assert "step 'c' (<text>:6): key 'word' is missing" in failed.error["message"]


def test_a_changed_step_is_noted_and_the_others_are_not() -> None:
    """DESIGN 5: `code` is the text of the step's own lines, whatever stands around them."""
    before = steps("a:\n  set: {x: 1}\n  next: b\nb:\n  set:\n    t: |\n      text\n\n")
    around = "# a comment\n" + before.replace("\n  b:", "\n\n  # about b\n  b:", 1)
    changed = before.replace("text", "other")
    first, second, third = map(parse_workflow, (before, around, changed))
    assert first.code() == second.code() == parse_workflow(before.replace("\n", "\r\n")).code()
    assert None not in first.code().values()
    assert first.code()["a"] == third.code()["a"]
    assert first.code()["b"] != third.code()["b"]
    store = MemoryStore()
    run(first, store, None)
    found = verify(third, log(store))
    assert any("'b'" in note for note in found.notes), found.notes
    assert not any("'a'" in note for note in found.notes)


def test_a_difference_is_shown_with_the_line_of_its_step() -> None:
    good, store = GOOD["llm as text"], MemoryStore()
    run(parse_workflow(good.text), store, good.inputs, *good.replies)
    Path("flow.yaml").write_text(good.text.replace("Greet", "Insult"), encoding="utf-8")
    found = verify(load_workflow("flow.yaml"), log(store))
    assert found.difference is not None
    assert found.difference.location == "flow.yaml:4"


def test_values_of_hidden_keys_reach_templates_and_not_the_log() -> None:
    text = steps("""
        a: {require: [who], llm: {prompt: "Hi {who.name}", schema: {n: integer}, output_key: out}}
        """)
    store, client = MemoryStore(), mock('{"n": 1}')
    run_with_mock(
        parse_workflow(text), store, client, inputs={"who": {"name": "Grace"}}, redact_keys=["name"]
    )
    assert client.requests[0].messages[0]["content"] == "Hi Grace"
    (run_id,) = store.run_ids()
    assert b"Grace" not in b"".join(event.line for event in store.read(run_id))
