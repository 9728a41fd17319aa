"""Answers without a model: for demos, dry runs and CI jobs that have no key and no network."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from replayt_core.errors import LLMError
from replayt_core.ports import ChatRequest, ChatResponse, ResponseSchema, RetryListener
from replayt_llm._mend import Problem, mend
from replayt_llm._numbers import Unsatisfiable
from replayt_llm._sampler import Sampler
from replayt_llm.presets import PRESETS

_DRAWS = 8
"""How often the whole is drawn anew: a rule between fields may hold the next time."""
_MODEL = PRESETS["offline"].default_model


class OfflineClient:
    """Answers each request from its JSON schema; opens no connection and calls no model.

    The same messages, schema and seed get the same answer, in every process. An answer to a schema
    always fits it; an answer in words says that no model was called.
    """

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        """A made-up reply.

        Raises `LLMError` (`schema`) with the path in the reply for which no value was found.
        """
        digest = _digest(request)
        if request.schema is None:
            text = f"[offline] No model was called. This text stands for a reply ({digest[:8]})."
        else:
            text = json.dumps(_made_up(request.schema, digest), ensure_ascii=False)
        return ChatResponse(text=text, model=_MODEL, finish_reason="stop")

    async def complete_async(
        self, request: ChatRequest, *, on_retry: RetryListener
    ) -> ChatResponse:
        """The same reply, for `AsyncRunner`."""
        return self.complete(request, on_retry=on_retry)

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        """What is used: no host, and a model whose name says that there is none."""
        asked = request.settings
        return {
            "provider": "offline",
            "host": None,
            "model": _MODEL,
            "temperature": None,
            "max_tokens": None,
            "timeout_seconds": asked.timeout_seconds,
            "seed": asked.seed,
            "structured_mode": "json_schema" if request.schema else None,
            "extra_headers": [*sorted(asked.extra_headers or ())],
        }

    def secrets(self) -> Sequence[str]:
        """None: it knows no secrets."""
        return ()

    def close(self) -> None:
        """Nothing to close."""


def _made_up(schema: ResponseSchema, digest: str) -> Any:
    """A value that fits, and that the model behind the schema takes where it is known."""
    least: list[Problem] = []
    for draw in range(_DRAWS):
        seed = f"{digest}/{draw}" if draw else digest
        try:
            rng = random.Random(seed)  # noqa: S311 - the same answer each time is the point
            value = Sampler(schema.json_schema, rng).sample()
        except Unsatisfiable as exc:
            raise _cannot(schema.name, exc.path, exc.problem) from None
        except RecursionError:
            raise _cannot(schema.name, "$", "the schema is nested too deeply") from None
        if schema.model is None:
            return value
        value, problems = mend(value, schema.model)
        if not problems:
            return value
        least = min(least or problems, problems, key=len)
    first = least[0]
    problem = f"the model takes nothing that was tried ({first.kind})"
    raise _cannot(schema.name, first.where, problem)


def _cannot(name: str, path: str, problem: str) -> LLMError:
    return LLMError(
        "schema",
        f"the offline provider cannot make up a {name}: at {path}, {problem}. Give the field "
        "examples=[...], use a model for this call, or a simpler constraint there.",
        fields=(path,),
    )


def _digest(request: ChatRequest) -> str:
    schema = None if request.schema is None else dict(request.schema.json_schema)
    asked = [[dict(message) for message in request.messages], schema, request.settings.seed]
    text = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
