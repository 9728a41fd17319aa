"""Effects that a driver performs for a call, so that sync and async share all the rest.

A call is written once, as a generator that yields an effect and is sent its result. `perform` runs
it synchronously; an async driver awaits the same effects.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from replayt_core.ports.llm import ChatRequest, LLMClient, RetryListener

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Complete:
    """Make a model call; the result is a `ChatResponse`."""

    client: LLMClient
    request: ChatRequest
    on_retry: RetryListener


@dataclass(frozen=True, slots=True)
class Invoke:
    """Run the body of a tool; the result is what it returns."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]


Effect = Complete | Invoke
Call = Generator[Effect, Any, T]


def perform(call: Call[T]) -> T:
    """Run a call to its end, performing each of its effects here and now."""
    try:
        effect = next(call)
        while True:
            try:
                result = _perform_effect(effect)
            except BaseException as error:
                effect = call.throw(error)
            else:
                effect = call.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _perform_effect(effect: Effect) -> Any:
    if isinstance(effect, Complete):
        return effect.client.complete(effect.request, on_retry=effect.on_retry)
    return effect.function(**effect.arguments)
