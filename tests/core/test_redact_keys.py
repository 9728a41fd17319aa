"""`redact_keys`: named fields whose values no log holds (DESIGN 3, issue 5 point 6)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pytest
from hypothesis import given
from pydantic import BaseModel, Field, RootModel, field_serializer
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType, TypedDict

from replayt_core import (
    ApprovalPending,
    DefinitionError,
    LogMode,
    MemoryStore,
    Redacted,
    RedactedValueError,
    RetryPolicy,
    RunContext,
    Runner,
    RunResult,
    Workflow,
    fold,
    resolve,
    verify,
)
from replayt_core.aio import AsyncRunContext, AsyncRunner
from replayt_core.pin import redacted_copy
from replayt_core.testing import FrozenClock, MockLLMClient
from tests.core.helpers import (
    ASK,
    RUN,
    Killed,
    batches,
    cut,
    cut_behind,
    log,
    one_step,
    only,
    payloads,
    run_once,
    types,
    workflow,
)
from tests.core.programs import Oracle, World, build, draw, programs
from tests.core.strict import strictly_valid
from tests.drawn import examples

SSN = "078-05-1120"
MAIL = "ada@analytical.engine.net"
INPUTS = {"person": {"name": "Ada", "ssn": SSN}, "ssn": SSN, "mails": [{"mail": MAIL}, {"mail": 7}]}
KEYS = ["ssn", "mail"]


def mark(value: str) -> dict[str, str]:
    """What stands in the log, as a reader would compute it."""
    return {"$redacted": hashlib.sha256(value.encode()).hexdigest()}


def holds(store: Any, *values: str, run_id: str = RUN) -> bool:
    raw = b"\n".join(event.line for event in log(store, run_id))
    return any(value.encode() in raw for value in (values or (SSN, MAIL)))


class Person(BaseModel):
    name: str
    ssn: str


SEEN: list[Any] = []


def first(ctx: RunContext) -> str:
    """Uses every way by which a value can reach the log."""
    SEEN.append(("first", ctx.get("ssn"), ctx.get("person")["ssn"], ctx.get("mails")))
    ctx.tools.register(lambda ssn, n: {"ssn": ssn, "n": n, "list": [{"mail": MAIL}]}, name="look")
    found = ctx.tools.call("look", {"ssn": ctx.get("ssn"), "n": 1})
    SEEN.append(("tool", found))
    person = ctx.llm.parse(Person, messages=ASK)
    SEEN.append(("model", person.ssn))
    ctx.set("found", {"ssn": person.ssn + "!", "of": person.name})
    ctx.get("person")["ssn"] += "?"
    ctx.note("n", data={"ssn": SSN, "kept": 1})
    return "second"


def second(ctx: RunContext) -> str | None:
    SEEN.append(("second", ctx.get("found")["ssn"], ctx.get("person")["ssn"]))
    if ctx.request_approval("go", details={"ssn": ctx.get("ssn"), "why": "because"}):
        SEEN.append(("approved", ctx.approvals[0].details["ssn"]))
        ctx.set("ssn", "gone")
        return "third"
    return None


def third(ctx: RunContext) -> None:
    SEEN.append(("third", ctx.get("ssn"), ctx.data["found"]["ssn"]))
    raise ValueError(f"no {ctx.get('person')['ssn']} and no {MAIL}")


def made() -> Workflow:
    return workflow(
        edges=[("first", "second"), ("second", "third")], first=first, second=second, third=third
    )


def client() -> MockLLMClient:
    return MockLLMClient().enqueue(f'{{"name": "Ada", "ssn": "{SSN}"}}')


def runner(store: Any, **more: Any) -> Runner:
    more = {"redact_keys": KEYS, "llm_client": client(), "clock": FrozenClock(), **more}
    return Runner(made(), store, **more)


SUPPLIED = {"all": [INPUTS, {"ssn": SSN + "!"}, {"ssn": SSN + "?"}, {"ssn": "gone"}]}


def to_the_end(store: Any, **more: Any) -> RunResult:
    SEEN.clear()
    assert runner(store, **more).run(INPUTS, run_id=RUN).status == "paused"
    resolve(store, RUN, "go", approved=True)
    return runner(store, **more).resume(RUN, supplied=SUPPLIED)


@pytest.mark.parametrize("mode", [LogMode.redacted, LogMode.structured_only])
def test_no_event_holds_the_value_of_a_named_field(mode: LogMode) -> None:
    """DESIGN 3: inputs, deltas, arguments, results, outputs, approvals, notes; and errors."""
    store = MemoryStore()
    result = to_the_end(store, log_mode=mode)
    assert result.status == "failed"
    assert not holds(store)
    assert SSN not in str(result.error)
    assert (result.error or {})["message"] == "no [redacted] and no [redacted]"
    start = only(store, "run_started")
    assert start["redact_keys"] == KEYS
    assert start["inputs"] == {
        "person": {"name": "Ada", "ssn": mark(f'"{SSN}"')},
        "ssn": mark(f'"{SSN}"'),
        "mails": [{"mail": mark(f'"{MAIL}"')}, {"mail": mark("7")}],
    }
    assert only(store, "tool_call")["arguments"] == {"ssn": mark(f'"{SSN}"'), "n": 1}
    assert only(store, "tool_result")["result"]["list"] == [{"mail": mark(f'"{MAIL}"')}]
    assert only(store, "structured_output")["data"] == {"name": "Ada", "ssn": mark(f'"{SSN}"')}
    assert only(store, "approval_requested")["details"]["why"] == "because"
    assert only(store, "step_note")["data"] == {"ssn": mark(f'"{SSN}"'), "kept": 1}
    assert set(only(store, "llm_response")["reply"]) == {"bytes", "sha256"}
    for event in log(store):
        strictly_valid(event.type, event.payload)


def test_the_live_run_works_with_the_values_themselves() -> None:
    """DESIGN 3: it is the one case where live and log differ."""
    store = MemoryStore()
    result = to_the_end(store)
    assert list(SEEN) == [
        ("first", SSN, SSN, INPUTS["mails"]),
        ("tool", {"ssn": SSN, "n": 1, "list": [{"mail": MAIL}]}),
        ("model", SSN),
        ("second", f"{SSN}!", f"{SSN}?"),
        ("second", f"{SSN}!", f"{SSN}?"),
        ("approved", SSN),
        ("third", "gone", f"{SSN}!"),
    ]
    assert result.context["person"] == {"name": "Ada", "ssn": f"{SSN}?"}
    assert INPUTS["ssn"] == SSN


def test_the_state_is_the_fold_of_the_log_as_ever() -> None:
    """DESIGN 2: only the edges know of values."""
    store = MemoryStore()
    to_the_end(store)
    state = fold(RUN, store.read(RUN))
    assert state.context["ssn"] == mark('"gone"')
    assert state.redact_keys == set(KEYS)


def test_what_a_handler_did_not_change_is_no_change() -> None:
    """SC-36: the delta is made of values, not of what stands for them."""

    def handler(ctx: RunContext) -> None:
        assert ctx.data["ssn"] == SSN
        ctx.set("ssn", SSN)

    store = MemoryStore()
    run_once(handler, store=store, inputs=INPUTS, redact_keys=KEYS)
    assert only(store, "state_exited")["context"] == {"set": {}, "unset": []}


def test_resume_stops_and_names_the_key_before_anything_is_written() -> None:
    """DESIGN 3, 5: refused (75), nothing written, no handler run."""
    store = MemoryStore()
    assert runner(store).run(INPUTS, run_id=RUN).status == "paused"
    resolve(store, RUN, "go", approved=True)
    before, seen = log(store), len(SEEN)
    with pytest.raises(RedactedValueError) as caught:
        runner(store).resume(RUN)
    assert set(caught.value.keys) == {"ssn", "mail"}
    assert "'ssn'" in str(caught.value)
    assert "--set KEY=JSON" in str(caught.value)
    with pytest.raises(RedactedValueError):
        runner(store).check_resume(RUN)
    with pytest.raises(RedactedValueError):
        Runner(made(), store).resume(RUN)  # the log says which keys are hidden
    assert (log(store), len(SEEN)) == (before, seen)
    runner(store).check_resume(RUN, supplied=SUPPLIED)


def test_a_value_that_is_not_the_recorded_one_is_refused() -> None:
    """DESIGN 3: unless it is handed in again and matches."""
    store = MemoryStore()
    runner(store).run(INPUTS, run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    with pytest.raises(RedactedValueError) as caught:
        runner(store).resume(RUN, supplied={**SUPPLIED, "all": [{"ssn": "111-11-1111"}]})
    assert caught.value.wrong == ("ssn",)
    assert "what was handed in for 'ssn' is something else" in str(caught.value)
    assert "111-11-1111" not in str(caught.value)


def test_an_answer_is_not_spent_on_a_run_that_is_then_refused() -> None:
    """SC-90: `check_resume` says so before the approval is given."""
    store = MemoryStore()
    runner(store).run(INPUTS, run_id=RUN)
    with pytest.raises(RedactedValueError):
        runner(store).check_resume(RUN, approval_id="go")


def test_killed_anywhere_it_goes_on_with_what_was_handed_in() -> None:
    """DESIGN 5: served calls return the values, and nothing is called twice."""

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda ssn: {"mail": ssn + "@"}, name="t", idempotent=True)
        got = [ctx.tools.call("t", {"ssn": f"{SSN}{n}"})["mail"] for n in range(3)]
        ctx.set("ssn", "".join(got))
        ctx.set("open", len(got))

    whole = MemoryStore()
    reference = run_once(handler, store=whole, inputs=INPUTS, redact_keys=KEYS)
    supplied = {"all": [INPUTS, *({"mail": f"{SSN}{n}@"} for n in range(3))]}
    for count in range(1, len(batches(log(whole)))):
        store = cut(whole, count)
        result = Runner(one_step(handler), store).resume(RUN, supplied=supplied)
        assert result.context == reference.context
        assert not holds(store)
        assert verify(one_step(handler), store.read(RUN), supplied=supplied).ok
        assert types(store).count("tool_call") in (3, 4)


def test_verify_stops_and_names_the_key_unless_it_is_handed_in() -> None:
    """DESIGN 3, 5."""
    store = MemoryStore()
    to_the_end(store)
    assert verify(None, store.read(RUN)).ok
    with pytest.raises(RedactedValueError) as caught:
        verify(made(), store.read(RUN))
    assert "ssn" in caught.value.keys
    report = verify(made(), store.read(RUN), supplied=SUPPLIED)
    assert (report.ok, report.difference) == (True, None)
    assert report.served_calls > 0


def test_verify_finds_a_change_of_a_hidden_value_and_does_not_show_it() -> None:
    """DESIGN 5: hashes are compared."""

    def sets(value: str) -> Any:
        def handler(ctx: RunContext) -> None:
            ctx.set("ssn", value)

        return one_step(handler)

    store = MemoryStore()
    Runner(sets(SSN), store, redact_keys=KEYS).run(run_id=RUN)
    assert verify(sets(SSN), store.read(RUN)).ok
    difference = verify(sets("another-secret"), store.read(RUN)).difference
    assert difference is not None
    assert "$redacted" in difference.recorded
    assert "another-secret" not in repr(difference)


def test_fork_stops_and_names_the_key_and_takes_its_names_along() -> None:
    """DESIGN 3, 5: with `--set` it starts, and hides what its parent hid."""

    def handler(ctx: RunContext) -> None:
        ctx.set("copy", {"ssn": ctx.get("ssn")})

    store = MemoryStore()
    Runner(one_step(handler), store, redact_keys=["ssn"]).run({"ssn": SSN, "n": 1}, run_id=RUN)
    plain = Runner(one_step(handler), store)
    with pytest.raises(RedactedValueError) as caught:
        plain.fork(RUN, "only", new_run_id="f")
    assert caught.value.keys == ("ssn",)
    assert list(store.read("f")) == []
    result = plain.fork(RUN, "only", changes={"ssn": "changed-value"}, new_run_id="f")
    assert result.context["copy"] == {"ssn": "changed-value"}
    assert not holds(store, SSN, "changed-value", run_id="f")
    assert only(store, "run_started", "f")["redact_keys"] == ["ssn"]


def test_names_may_be_added_when_a_run_is_resumed_and_are_recorded() -> None:
    """Issue 5 point 6: the log says which keys are hidden from where on."""

    def handler(ctx: RunContext) -> None:
        if ctx.request_approval("go"):
            ctx.set("mail", MAIL)

    store = MemoryStore()
    Runner(one_step(handler), store).run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    Runner(one_step(handler), store, redact_keys=["mail"]).resume(RUN)
    assert only(store, "run_resumed")["redact_keys"] == ["mail"]
    strictly_valid("run_resumed", only(store, "run_resumed"))
    assert not holds(store)
    assert verify(one_step(handler), store.read(RUN)).ok


def test_a_retry_sees_what_the_attempt_before_it_wrote() -> None:
    """DESIGN 2: the committed delta holds a hash, the next attempt the value."""

    def handler(ctx: RunContext) -> None:
        if ctx.attempt == 1:
            ctx.set("ssn", SSN)
            raise ValueError("again")
        SEEN.append(ctx.get("ssn"))

    SEEN.clear()
    store = MemoryStore()
    result = run_once(
        handler, store=store, redact_keys=["ssn"], retries=RetryPolicy(max_attempts=2)
    )
    assert (result.status, SEEN) == ("completed", [SSN])
    assert not holds(store)


def test_expects_is_checked_against_the_values() -> None:
    """SC-40: not against what stands for them."""
    store = MemoryStore()
    result = run_once(
        lambda ctx: None,
        store=store,
        inputs={"ssn": SSN},
        redact_keys=["ssn"],
        expects={"ssn": str},
    )
    assert result.error is None


def test_a_result_that_a_person_gives_is_hidden_too() -> None:
    """DESIGN 5: `--result CALL JSON`."""

    def dies() -> dict[str, str]:
        raise Killed

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(dies, name="t")
        SEEN.append(ctx.tools.call("t"))

    SEEN.clear()
    store = MemoryStore()
    with pytest.raises(Killed):
        run_once(handler, store=store, redact_keys=["ssn"])
    again = Runner(one_step(handler), store)
    paused = again.resume(RUN)
    result = again.resume(RUN, call_results={paused.waiting_call or 0: {"ssn": SSN}})
    assert (result.status, SEEN) == ("completed", [{"ssn": SSN}])
    assert not holds(store)


class Inner(BaseModel):
    iban: Annotated[str, Redacted]


class Account(BaseModel):
    owner: str
    number: Annotated[str, Redacted()] = Field(alias="nr")
    others: list[Inner] | None = None


def test_fields_that_a_model_marks_count_as_redact_keys_from_its_first_call_on() -> None:
    """Issue 5 point 6: nested ones too, by name and by alias; the schema sent does not show it."""
    reply = f'{{"owner": "Ada", "nr": "{SSN}", "others": [{{"iban": "{MAIL}"}}]}}'

    def handler(ctx: RunContext) -> None:
        account = ctx.llm.parse(Account, messages=ASK)
        SEEN.append((account.number, account.others[0].iban if account.others else None))
        ctx.set("account", account)
        ctx.set("number", account.number)

    SEEN.clear()
    store, mock = MemoryStore(), MockLLMClient().enqueue(reply)
    result = run_once(handler, store=store, llm_client=mock)
    assert result.error is None
    assert list(SEEN) == [(SSN, MAIL)]
    assert not holds(store)
    assert only(store, "llm_request")["redact_keys"] == ["iban", "nr", "number"]
    strictly_valid("llm_request", only(store, "llm_request"))
    assert only(store, "structured_output")["data"]["others"] == [{"iban": mark(f'"{MAIL}"')}]
    assert "edact" not in str(mock.requests[0].schema)
    with pytest.raises(RedactedValueError):
        verify(one_step(handler), store.read(RUN))
    supplied = {"nr": SSN, "all": [{"iban": MAIL}]}
    assert verify(one_step(handler), store.read(RUN), supplied=supplied).ok
    killed = cut_behind(store, "structured_output")
    assert Runner(one_step(handler), killed).resume(RUN, supplied=supplied).served_calls == 1
    assert not holds(killed)


class Optional_(BaseModel):
    ssn: Annotated[str, Redacted] | None = None


class Listed(BaseModel):
    ssn: list[Annotated[str, Redacted]]


class Bare(RootModel[Annotated[str, Redacted]]):
    pass


class Rooted(BaseModel):
    ssn: Bare
    again: Bare


class Typed(TypedDict):
    ssn: Annotated[str, Redacted]


Number = TypeAliasType("Number", Annotated[str, Redacted])


class HoldsAlias(BaseModel):
    ssn: Number
    mail: Number | None = None


class HoldsTyped(BaseModel):
    of: Typed


@dataclass
class Data:
    ssn: Annotated[str, Redacted]


class HoldsData(BaseModel):
    of: dict[str, Data]


@pydantic_dataclass
class Aliased:
    number: Annotated[str, Redacted] = Field(alias="ssn")


class HoldsAliased(BaseModel):
    of: list[Aliased]


class Tree(BaseModel):
    ssn: Annotated[str, Redacted]
    left: Tree | None = None


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        (Optional_, {"ssn": SSN}),
        (Listed, {"ssn": ["x", SSN]}),
        (Rooted, {"ssn": SSN, "again": SSN}),
        (HoldsAlias, {"ssn": SSN, "mail": MAIL}),
        (HoldsTyped, {"of": {"ssn": SSN}}),
        (HoldsData, {"of": {"a": {"ssn": SSN}}}),
        (HoldsAliased, {"of": [{"ssn": SSN}]}),
        (Tree, {"ssn": "x", "left": {"ssn": SSN, "left": None}}),
    ],
)
def test_a_mark_counts_wherever_it_stands_in_a_model(model: type[BaseModel], reply: Any) -> None:
    """Issue 5 point 6: inside unions, lists, roots, dataclasses and typed dictionaries."""
    store, seen = MemoryStore(), []
    mock = MockLLMClient().enqueue(json.dumps(reply))
    result = run_once(
        lambda ctx: seen.append(ctx.llm.parse(model, messages=ASK)), store=store, llm_client=mock
    )
    assert result.error is None
    assert SSN in str(seen)
    assert not holds(store)


def test_a_mark_on_a_value_without_a_name_is_refused() -> None:
    """House style 5: what cannot be hidden is not let through."""
    store = MemoryStore()
    result = run_once(lambda ctx: ctx.llm.parse(Bare, messages=ASK), store=store)
    assert result.error is not None
    assert result.error["type"] == "DefinitionError"
    assert "marks its root" in result.error["message"]
    assert "llm_request" not in types(store)


@pytest.mark.parametrize("value", [SSN, {"n": [SSN]}, f"{SSN}\n'\"", 780511200, 78051.1200])
@pytest.mark.parametrize("by_tool", [False, True])
def test_an_error_does_not_tell_what_the_attempt_has_just_hidden(value: Any, by_tool: bool) -> None:
    """DESIGN 3: no boundary has been written yet, and the value may be nested or no text."""

    def handler(ctx: RunContext) -> None:
        ctx.set("ssn", value)
        if by_tool:
            ctx.tools.register(lambda: {}[str(value)], name="look")
            ctx.tools.call("look")
        raise KeyError(f"nobody is {value}" if isinstance(value, dict) else value)

    store = MemoryStore()
    error = run_once(handler, store=store, redact_keys=["ssn"]).error
    assert error is not None
    assert "[redacted]" in error["message"]
    assert not holds(store, SSN, "780511200", "78051.12")


def test_a_state_that_does_not_exist_does_not_tell_what_is_hidden() -> None:
    """DESIGN 3: errors that replayt makes itself are covered, too."""

    def handler(ctx: RunContext) -> str:
        ctx.set("ssn", SSN)
        return SSN

    store = MemoryStore()
    error = run_once(handler, store=store, redact_keys=["ssn"]).error
    assert error is not None
    assert error["type"] == "TransitionError"
    assert not holds(store)
    assert verify(one_step(handler), store.read(RUN)).ok


def test_a_serializer_that_fails_does_not_tell_the_reply() -> None:
    """RELIABILITY b5: its message is a user's, and may quote what it was given."""

    class Talks(BaseModel):
        ssn: Annotated[str, Redacted]

        @field_serializer("ssn")
        def shown(self, value: str) -> str:
            raise ValueError(f"no {value}")

    store = MemoryStore()
    mock = MockLLMClient().enqueue(f'{{"ssn": "{SSN}"}}')
    result = run_once(lambda ctx: ctx.llm.parse(Talks, messages=ASK), store=store, llm_client=mock)
    assert result.error is not None
    assert result.error["message"].endswith("has no JSON form: a serializer raised ValueError")
    assert not holds(store)


def test_a_tag_of_a_hidden_name_is_refused() -> None:
    """DESIGN 3: hidden everywhere; a tag that is a hash would find nothing."""
    store = MemoryStore()
    with pytest.raises(DefinitionError, match="redact_keys"):
        runner(store).run(INPUTS, run_id=RUN, tags={"ssn": SSN})
    assert not log(store)
    to_the_end(store)
    with pytest.raises(DefinitionError, match="redact_keys"):
        Runner(made(), store).fork(RUN, "second", changes=INPUTS, tags={"ssn": SSN})
    assert len(list(store.run_ids())) == 1


@pytest.mark.parametrize("effect", ["call", "note"])
def test_what_was_recorded_before_a_name_was_hidden_is_no_difference(effect: str) -> None:
    """DESIGN 5: a model marks its fields from its first call on, and the attempt begins before."""

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda iban: [iban], name="look")
        if effect == "call":
            ctx.tools.call("look", {"iban": ctx.get("asked")})
        else:
            ctx.note("n", data={"iban": ctx.get("asked")})
        ctx.llm.parse(Inner, messages=ASK)
        if ctx.request_approval("go"):
            ctx.set("done", True)

    store = MemoryStore()
    mock = MockLLMClient().enqueue(f'{{"iban": "{SSN}"}}')
    run_once(handler, store=store, llm_client=mock, inputs={"asked": MAIL})
    resolve(store, RUN, "go", approved=True)
    supplied = {"iban": SSN}
    assert verify(one_step(handler), store.read(RUN), supplied=supplied).ok
    resumed = Runner(one_step(handler), store).resume(RUN, supplied=supplied)
    assert resumed.status == "completed"
    assert verify(one_step(handler), store.read(RUN), supplied=supplied).ok
    other = cut_behind(store, "approval_resolved")
    changed = one_step(lambda ctx: handler(Changed(ctx)))  # type: ignore[arg-type]
    found = verify(changed, other.read(RUN), supplied=supplied).difference
    assert found is not None
    assert "other@corp.net" not in str(found)


class Changed:
    """A context whose value under `asked` is another."""

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def get(self, key: str) -> Any:
        return "other@corp.net"


@pytest.mark.parametrize("bad", ["ssn", [""], [1], ["set"], ["unset"], ["$redacted"], 5])
def test_names_that_cannot_be_hidden_are_refused(bad: Any) -> None:
    """House style 5."""
    with pytest.raises(DefinitionError, match="redact_keys"):
        Runner(one_step(lambda ctx: None), MemoryStore(), redact_keys=bad)


def test_mode_full_and_hidden_fields_contradict_each_other() -> None:
    """DESIGN 3: messages and replies are kept as they are in `full`, fields and all."""
    with pytest.raises(DefinitionError, match="log mode full keeps messages and replies"):
        Runner(one_step(lambda ctx: None), MemoryStore(), log_mode="full", redact_keys=["ssn"])
    mock = MockLLMClient().enqueue("{}")
    result = run_once(
        lambda ctx: ctx.llm.parse(Account, messages=ASK), llm_client=mock, log_mode="full"
    )
    assert "Account marks fields as Redacted" in (result.error or {})["message"]
    assert mock.remaining == 1


def test_fields_of_the_log_itself_are_not_hidden() -> None:
    """DESIGN 3: a name is looked for in what users put there, not in events."""

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda name: {"name": name}, name="t")
        ctx.tools.call("t", {"name": SSN})

    store = MemoryStore()
    names = ["name", "state", "call", "context", "type", "data", "messages"]
    assert run_once(handler, store=store, redact_keys=names).status == "completed"
    assert only(store, "tool_call")["name"] == "t"
    assert only(store, "tool_call")["arguments"] == {"name": mark(f'"{SSN}"')}
    assert verify(one_step(handler), store.read(RUN), supplied={"name": SSN}).ok


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "", [], {}, {"b": 1, "a": [SSN]}, "ü" * 9])
def test_any_value_can_be_hidden_and_comes_back(value: Any) -> None:
    """DESIGN 3: the hash is that of the canonical JSON, so the order of keys is none of it."""

    def handler(ctx: RunContext) -> None:
        SEEN.append(ctx.get("ssn"))
        if "run_resumed" not in types(store):
            raise Killed

    SEEN.clear()
    store = MemoryStore()
    with pytest.raises(Killed):
        run_once(handler, store=store, inputs={"ssn": value}, redact_keys=["ssn"])
    turned = dict(reversed(value.items())) if isinstance(value, dict) else value
    Runner(one_step(handler), store).resume(RUN, supplied={"ssn": turned})
    assert list(SEEN) == [value, value]
    assert set(only(store, "run_started")["inputs"]["ssn"]) == {"$redacted"}


def test_what_only_looks_like_a_hash_of_ours_is_a_value_as_any_other() -> None:
    """DESIGN 2: what a tool returned is what the handler gets, live and served."""
    forged = {"$redacted": "0" * 64}
    returned = {"ssn": forged, "other": forged, "list": [forged]}

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda: returned, name="t")
        SEEN.append(ctx.tools.call("t"))

    SEEN.clear()
    store = MemoryStore()
    assert run_once(handler, store=store, redact_keys=["ssn"]).error is None
    Runner(one_step(handler), cut_behind(store, "tool_result")).resume(
        RUN, supplied={"ssn": forged}
    )
    assert list(SEEN) == [returned, returned]
    assert only(store, "tool_result")["result"]["ssn"] not in (forged, SSN)


def test_a_fork_keeps_the_hashes_of_its_parents_inputs() -> None:
    """DESIGN 5: its first event says what the parent's says."""
    store = MemoryStore()
    Runner(one_step(lambda ctx: None), store, redact_keys=["ssn"]).run(INPUTS, run_id=RUN)
    changes = {"ssn": "x", "person": None}
    Runner(one_step(lambda ctx: None), store).fork(RUN, "only", changes=changes, new_run_id="f")
    assert only(store, "run_started", "f")["inputs"] == only(store, "run_started")["inputs"]


def test_a_pinned_copy_keeps_the_hashes() -> None:
    """DESIGN 3: a copy shows no more than its original."""
    store = MemoryStore()
    to_the_end(store)
    copied = redacted_copy(log(store))
    assert verify(made(), copied, supplied=SUPPLIED).ok
    assert payloads(store, "run_started")[0]["inputs"] == copied[0].payload["inputs"]


def test_async_runs_hide_the_same() -> None:
    """Issue 3 point 8: sync equals async."""

    def look(ssn: str) -> Any:
        return {"mail": ssn}

    async def awaited(ctx: AsyncRunContext) -> None:
        ctx.set("found", await ctx.tools.call("look", {"ssn": ctx.get("ssn")}))

    def plain(ctx: RunContext) -> None:
        ctx.set("found", ctx.tools.call("look", {"ssn": ctx.get("ssn")}))

    told = []
    for kind, handler in ((Runner, plain), (AsyncRunner, awaited)):
        store = MemoryStore()
        made = kind(  # type: ignore[operator]
            one_step(handler), store, redact_keys=KEYS, tools=[look], clock=FrozenClock()
        )
        result: Any = made.run({"ssn": SSN}, run_id=RUN)
        result = result if isinstance(result, RunResult) else asyncio.run(result)
        assert result.context == {"ssn": SSN, "found": {"mail": SSN}}
        assert not holds(store)
        supplied = {"ssn": SSN, "mail": SSN}
        assert verify(one_step(handler), log(store), tools=[look], supplied=supplied).ok
        told.append([(e.type, {**e.payload, "code": None}) for e in log(store)])
    assert told[0] == told[1]


def test_the_pause_signal_and_routes_are_as_ever() -> None:
    """DESIGN 5: a route commits what the handler had set when it paused."""

    def asks(ctx: RunContext) -> None:
        ctx.set("ssn", SSN)
        with pytest.raises(ApprovalPending):
            ctx.request_approval("go", on_approve="end")

    def end(ctx: RunContext) -> None:
        SEEN.append(ctx.get("ssn"))

    SEEN.clear()
    store = MemoryStore()
    routed = workflow(edges=[("asks", "end")], asks=asks, end=end)
    Runner(routed, store, redact_keys=["ssn"]).run(run_id=RUN)
    resolve(store, RUN, "go", approved=True)
    with pytest.raises(RedactedValueError):
        Runner(routed, store).resume(RUN)
    result = Runner(routed, store).resume(RUN, supplied={"ssn": SSN})
    assert (result.status, SEEN) == ("completed", [SSN])
    assert not holds(store)


HIDDEN = ("n", "sum", "list", "b")


def values_under(value: Any, names: tuple[str, ...]) -> Any:
    """Every value of a log that stands under one of these names."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in names:
                yield {name: item}
            yield from values_under(item, names)
    elif isinstance(value, list):
        for item in value:
            yield from values_under(item, names)


def ended(program: Any, store: MemoryStore, **given: Any) -> RunResult:
    """A random program run or resumed to its end; approvals are answered by a rule."""
    supplied, keys = given.get("supplied"), given.get("redact_keys", ())
    for _ in range(200):
        runs = Runner(
            build(program, World()),
            store,
            llm_client=Oracle(),
            clock=FrozenClock(),
            max_steps=9,
            redact_keys=keys,
        )
        if not log(store):
            result = runs.run({"a": 1, "b": {"n": 2}}, run_id=RUN)
        else:
            for request in fold(RUN, store.read(RUN)).open_approvals():
                answer = draw(request.approval_id) % 2 == 0
                resolve(store, RUN, request.approval_id, approved=answer, clock=FrozenClock())
            result = runs.resume(RUN, supplied=supplied)
        if result.status != "paused":
            return result
    raise AssertionError("the run does not end")


@examples(40)
@given(programs())
def test_hidden_or_not_killed_or_not_any_workflow_ends_the_same(program: Any) -> None:
    """DESIGN 3: hiding changes what the log holds and nothing that a handler sees."""
    program = tuple(
        replace(spec, ops=tuple(op for op in spec.ops if op[0] != "text")) for spec in program
    )
    plain, hidden = MemoryStore(), MemoryStore()
    reference = ended(program, plain)
    supplied = {"all": [*values_under([event.payload for event in log(plain)], HIDDEN)]}
    result = ended(program, hidden, redact_keys=HIDDEN, supplied=supplied)
    assert (result.status, result.context) == (reference.status, reference.context)
    assert [event.type for event in log(hidden)] == [event.type for event in log(plain)]
    left = [
        next(iter(item.values()))
        for event in log(hidden)
        for item in values_under(
            {name: event.payload.get(name) for name in ("inputs", "context", "result", "data")},
            HIDDEN,
        )
    ]
    assert all(set(item) == {"$redacted"} for item in left)
    assert verify(build(program, World()), log(hidden), supplied=supplied).ok
    for count in range(1, len(batches(log(hidden)))):
        killed = cut(hidden, count)
        again = ended(program, killed, redact_keys=HIDDEN, supplied=supplied)
        assert (again.status, again.context) == (reference.status, reference.context)
