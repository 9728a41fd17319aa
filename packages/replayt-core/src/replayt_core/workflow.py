"""The definition of a workflow: states, handlers, edges and policies. Nothing runs here."""

from __future__ import annotations

import hashlib
import random
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from replayt_core._error_info import validation_fields
from replayt_core._graph import Finding, find_faults
from replayt_core._source import literal_targets, source_text
from replayt_core.errors import ContextSchemaError, DefinitionError
from replayt_core.payloads import GraphInfo

if TYPE_CHECKING:
    from replayt_core.context import RunContext

Handler = Callable[["RunContext"], "str | None"]
HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

MAX_ATTEMPTS = 100
_MAX_WAIT = 7 * 24 * 3600


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failing step is tried, and how long to wait between attempts (seconds).

    The wait before attempt n + 1 is `backoff_seconds * multiplier ** (n - 1)`, at most
    `max_backoff_seconds`; `jitter` takes up to that share of it away at random. Only failures
    that are one of `retry_on` are retried. No policy at all means one attempt.
    """

    max_attempts: int = 1
    backoff_seconds: float = 0.0
    multiplier: float = 1.0
    max_backoff_seconds: float = 300.0
    jitter: float = 0.0
    retry_on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        if type(self.max_attempts) is not int or not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise DefinitionError(
                f"RetryPolicy: max_attempts is {self.max_attempts!r}; use 1 to {MAX_ATTEMPTS}"
            )
        for name, least, most in (
            ("backoff_seconds", 0, _MAX_WAIT),
            ("max_backoff_seconds", 0, _MAX_WAIT),
            ("multiplier", 1, sys.float_info.max),
            ("jitter", 0, 1),
        ):
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value <= most:
                raise DefinitionError(
                    f"RetryPolicy: {name} is {value!r}; use a number from {least} to {most}"
                )
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise DefinitionError(
                f"RetryPolicy: retry_on is {self.retry_on!r:.60}; use classes below Exception"
            )

    def delay(self, failed_attempt: int, stream: random.Random) -> float:
        """Seconds to wait after the attempt of that number failed."""
        try:
            grown = self.backoff_seconds * self.multiplier ** (failed_attempt - 1)
        except OverflowError:
            grown = self.max_backoff_seconds
        delay = min(grown, self.max_backoff_seconds)
        if self.jitter and delay:
            delay -= delay * self.jitter * stream.random()
        return delay


@dataclass(frozen=True)
class Step:
    """One state: its handler and what was declared with it."""

    name: str
    handler: Handler
    retries: RetryPolicy = RetryPolicy()
    expects: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None

    @cached_property
    def code(self) -> str | None:
        """SHA-256 of the handler's dedented source text; None where there is none.

        The source text, never bytecode or AST: those change with the Python version.
        """
        source = source_text(self.handler)
        if source is None:
            return None
        text = textwrap.dedent(source.replace("\r\n", "\n").replace("\r", "\n"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def _expected(self) -> dict[str, TypeAdapter[Any] | None]:
        return {
            key: None if kind is Any else TypeAdapter(kind) for key, kind in self.expects.items()
        }

    def check_context(self, context: Mapping[str, Any]) -> None:
        """Raises `ContextSchemaError` naming key and step where `expects` is not met."""
        for key, adapter in self._expected.items():
            if key not in context:
                raise ContextSchemaError(
                    f"context schema violation in step {self.name!r}: key {key!r} is missing; "
                    "set it in an earlier step or pass it in the inputs"
                )
            if adapter is None:
                continue
            try:
                adapter.validate_json(to_json(context[key]), strict=True)
            except ValidationError as error:
                wanted = getattr(self.expects[key], "__name__", str(self.expects[key]))
                raise ContextSchemaError(
                    f"context schema violation in step {self.name!r}: key {key!r} is "
                    f"{type(context[key]).__name__}, expected {wanted} "
                    f"({'; '.join(validation_fields(error))})"
                ) from None


class Workflow:
    """A finite state machine: named states with handlers, declared edges, one initial state.

    As soon as one edge is declared (with `to=` or `note_transition`), every move has to be.
    """

    def __init__(self, name: str, version: str = "1") -> None:
        if not name or not isinstance(name, str):
            raise DefinitionError("Workflow: the name must be a non-empty text")
        self.name = str.__str__(name)
        self.version = str.__str__(version) if isinstance(version, str) else str(version)
        self.initial: str | None = None
        self._steps: dict[str, Step] = {}
        self._edges: dict[tuple[str, str], None] = {}
        # The same edges by their source: a move must not cost more in a larger graph.
        self._targets: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"Workflow({self.name!r}, version={self.version!r})"

    @property
    def steps(self) -> Mapping[str, Step]:
        """The states in the order they were declared."""
        return self._steps

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The declared edges in the order they were declared."""
        return list(self._edges)

    def set_initial(self, state: str) -> None:
        """Set the state a run starts in."""
        self.initial = _checked_state(state)

    def step(
        self,
        name: str,
        *,
        to: Sequence[str] = (),
        retries: RetryPolicy | None = None,
        expects: Sequence[str] | Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Register the decorated function as the handler of state `name`.

        `to` declares where it may go. `expects` names context keys that must be there, or maps
        them to the types they must have. Without `retries` a step has one attempt.
        `timeout` is the time of one attempt in seconds; a step that is over it fails its run.
        """
        name = _checked_state(name)
        if isinstance(to, str):
            raise DefinitionError(f"step {name!r}: `to` is a list of states; write to=[{to!r}]")
        if isinstance(expects, str):
            raise DefinitionError(f"step {name!r}: `expects` is a list of keys or a mapping")
        if not isinstance(retries, RetryPolicy | None):
            raise DefinitionError(
                f"step {name!r}: `retries` is {retries!r:.60}; write RetryPolicy(max_attempts=...)"
            )
        if timeout is not None and (
            type(timeout) not in (int, float) or not 0 < timeout <= _MAX_WAIT
        ):
            raise DefinitionError(
                f"step {name!r}: timeout is {timeout!r}; use seconds above 0, at most {_MAX_WAIT:g}"
            )
        wanted = expects if isinstance(expects, Mapping) else dict.fromkeys(expects or (), Any)

        def register(handler: HandlerT) -> HandlerT:
            if name in self._steps:
                raise DefinitionError(f"workflow {self.name!r}: step {name!r} is declared twice")
            if not callable(handler):
                raise DefinitionError(f"step {name!r}: the handler is not callable")
            self._steps[name] = Step(name, handler, retries or RetryPolicy(), dict(wanted), timeout)
            for target in to:
                self.note_transition(name, target)
            return handler

        return register

    def note_transition(self, source: str, target: str) -> None:
        """Declare an edge; declaring it again changes nothing."""
        edge = _checked_state(source), _checked_state(target)
        if edge not in self._edges:
            self._edges[edge] = None
            self._targets.setdefault(edge[0], []).append(edge[1])

    def targets(self, state: str) -> list[str] | None:
        """Where `state` may go, in declared order; None where nothing is declared at all."""
        if not self._edges:
            return None
        return list(self._targets.get(state, ()))

    def graph(self) -> GraphInfo:
        """The graph as it is recorded. Raises `DefinitionError` when no initial state is set."""
        return {
            "initial": self.startable(),
            "states": list(self._steps),
            "edges": [[source, target] for source, target in self._edges],
        }

    def code(self) -> dict[str, str | None]:
        """The hash of each handler's source text."""
        return {name: step.code for name, step in self._steps.items()}

    def check(self) -> list[Finding]:
        """What is wrong, all of it at once; empty when nothing is. Nothing is run.

        Looks at the declared graph, and at the states that handlers' sources name literally.
        """
        found = find_faults(self.initial, list(self._steps), self.edges)
        for name, step in self._steps.items():
            allowed = self.targets(name)
            for target, place in literal_targets(step.handler):
                if target not in self._steps:
                    text = f"{place}: step {name!r} goes to {target!r}, which has no handler"
                elif allowed is not None and target not in allowed:
                    text = (
                        f"{place}: step {name!r} goes to {target!r}, which is not declared: add it "
                        "to its to=[...]"
                    )
                else:
                    continue
                found.append(Finding("undeclared-move", f"{name} -> {target}", text))
        return found

    def startable(self) -> str:
        """The initial state. Raises `DefinitionError` when a run cannot start at all."""
        if self.initial is None:
            raise DefinitionError(
                f"workflow {self.name!r} has no initial state; call set_initial(state) first"
            )
        if self.initial not in self._steps:
            raise DefinitionError(
                f"workflow {self.name!r}: the initial state {self.initial!r} has no step; "
                f"declare it with @wf.step({self.initial!r})"
            )
        return self.initial


def _checked_state(state: str) -> str:
    if not isinstance(state, str) or not state:
        raise DefinitionError(f"a state is a non-empty text, not {state!r:.60}")
    try:
        state.encode()
    except UnicodeEncodeError:
        raise DefinitionError(f"the state {state!r:.60} holds a lone surrogate") from None
    # A text enum is taken by its value: that is what the log holds and what comes back.
    return str.__str__(state)
