"""What several of the core's tests share: small workflows, stores that die, logs cut short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from replayt_core import Event, MemoryStore, RunContext, Runner, RunResult, StoreError, Workflow
from replayt_core.ports.llm import ChatRequest, ChatResponse, RetryListener
from replayt_core.testing import FrozenClock, MockLLMClient

RUN = "r1"
ASK = [{"role": "user", "content": "what is it?"}]

Handler = Callable[[RunContext], Any]


class Killed(BaseException):
    """The process dies here: nothing that runs afterwards can write."""


class DyingStore(MemoryStore):
    """Takes `appends` batches and then the process is dead."""

    def __init__(self, appends: int) -> None:
        super().__init__()
        self.left = appends

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        super().append(run_id, events, after=after)


class BareStore:
    """The three methods of the store interface and nothing else: no locks, no listing."""

    def __init__(self) -> None:
        self._kept = MemoryStore()

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        self._kept.append(run_id, events, after=after)

    def read(self, run_id: str, *, after: int = 0) -> Iterable[Event]:
        return self._kept.read(run_id, after=after)

    def run_ids(self) -> Iterable[str]:
        return self._kept.run_ids()


class SecretClient(MockLLMClient):
    """A mock that knows live secrets."""

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._known = secrets

    def secrets(self) -> Sequence[str]:
        return self._known


class EchoClient:
    """Answers every call by what it is asked, so that order and number of calls do not matter."""

    def __init__(self, answer: Callable[[ChatRequest], str] | None = None) -> None:
        self.calls = 0
        self._answer = answer or (lambda request: str(request.messages[-1]["content"]))

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        self.calls += 1
        return ChatResponse(text=self._answer(request), model="echo", finish_reason="stop")


def workflow(*, edges: Iterable[tuple[str, str]] = (), **handlers: Handler) -> Workflow:
    """A workflow of these handlers; the first is the initial state."""
    made = Workflow("demo")
    for name, handler in handlers.items():
        made.step(name)(handler)
    for source, target in edges:
        made.note_transition(source, target)
    made.set_initial(next(iter(handlers)))
    return made


def one_step(handler: Handler, **step: Any) -> Workflow:
    """A workflow of the one state `only`."""
    made = Workflow("demo")
    made.set_initial("only")
    made.step("only", **step)(handler)
    return made


def run_once(handler: Handler, *, store: MemoryStore | None = None, **runner: Any) -> RunResult:
    """Run one handler as the state `only` of run `r1`."""
    step = {name: runner.pop(name) for name in ("retries", "expects", "to") if name in runner}
    to_run = {name: runner.pop(name) for name in ("inputs", "tags") if name in runner}
    runner.setdefault("clock", FrozenClock())
    made = Runner(one_step(handler, **step), store or MemoryStore(), **runner)
    return made.run(run_id=RUN, **to_run)


def log(store: Any, run_id: str = RUN) -> list[Event]:
    """The events of a run."""
    return list(store.read(run_id))


def types(store: Any, run_id: str = RUN) -> list[str]:
    """The event types of a run."""
    return [event.type for event in log(store, run_id)]


def payloads(store: Any, kind: str, run_id: str = RUN) -> list[dict[str, Any]]:
    """The payloads of one event type."""
    return [event.payload for event in log(store, run_id) if event.type == kind]


def only(store: Any, kind: str, run_id: str = RUN) -> dict[str, Any]:
    """The payload of the one event of a type."""
    (payload,) = payloads(store, kind, run_id)
    return payload


def batches(events: Iterable[Event]) -> list[list[Event]]:
    """The batches that a log was written in."""
    found: list[list[Event]] = [[]]
    for event in events:
        found[-1].append(event)
        if not event.more:
            found.append([])
    return found[:-1]


def store_of(kept: Iterable[Sequence[Event]], run_id: str = RUN) -> MemoryStore:
    """A new store that holds these batches of a run."""
    store = MemoryStore()
    for batch in kept:
        store.append(run_id, batch, after=batch[0].seq - 1)
    return store


def cut(store: Any, count: int, run_id: str = RUN) -> MemoryStore:
    """A new store that holds the first `count` batches of a run: the process died there."""
    return store_of(batches(store.read(run_id))[:count], run_id)


def cut_behind(store: Any, kind: str, run_id: str = RUN) -> MemoryStore:
    """A new store that holds a run up to the batch with its first event of a type."""
    whole = batches(store.read(run_id))
    for count, batch in enumerate(whole, 1):
        if any(event.type == kind for event in batch):
            return cut(store, count, run_id)
    raise AssertionError(f"no {kind} in {[event.type for batch in whole for event in batch]}")


def run_dying(runner: Runner, **run: Any) -> None:
    """Run until the store of the runner dies."""
    try:
        runner.run(run_id=RUN, **run)
    except (Killed, StoreError):
        return
    raise AssertionError("the store did not die")
