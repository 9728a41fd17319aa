"""The outcome of a run as text: how it stands, what it waits for, what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replayt_cli.execute.costs import Cost
from replayt_cli.render.columns import columns_of
from replayt_cli.render.json import inline
from replayt_cli.render.text import count_of, cut, echo, escape, hint, one_line, paint, width, wrap
from replayt_core import RunResult

_SHOWN_CHARS = 400


def print_outcome(
    document: dict[str, Any], result: RunResult, resume_command: Callable[..., str], cost: Cost
) -> None:
    """Print `key=value` lines, then what a paused run waits for, then one closing line."""
    echo(f"run_id={result.run_id}")
    echo(f"workflow={one_line(document['workflow'])}")
    parent = document.get("forked_from")
    if parent:
        echo(f"forked_from={one_line(str(parent['run_id']))} seq {parent['seq']}")
    echo(f"status={paint(result.status, result.status)}")
    if result.final_state is not None:
        name = "state" if result.status == "paused" else "final_state"
        echo(f"{name}={one_line(result.final_state)}")
    if result.error is not None:
        _print_wrapped(f"error={error_text(dict(result.error))}", indent="")
    for approval in result.waiting:
        named = f"--approval={approval.approval_id}"
        words = one_line(approval.summary)
        echo()
        asked = f"waits for approval {escape(approval.approval_id)}"
        _print_wrapped(asked + (f": {words}" if words else ""), indent="")
        if approval.details not in (None, {}, [], ""):
            shown = cut(one_line(inline(approval.details)), _SHOWN_CHARS)
            _print_wrapped(shown, indent="  ")
        echo(f"  approve: {escape(resume_command(*_approval(approval.approval_id, named)))}")
        echo(
            "  reject:  "
            + escape(resume_command(*_approval(approval.approval_id, named), "--reject"))
        )
    if result.waiting:
        hint("--by NAME and --reason TEXT put on record who answers, and why")
    if document["waiting_call"] is not None:
        call = str(document["waiting_call"])
        echo()
        echo(f"waits for word of call {call}: it was started, and nobody knows whether it happened")
        echo(f"  make it again:  {escape(resume_command('--retry', call))}")
        echo(f"  it returned:    {escape(resume_command('--result', call, 'JSON'))}")
        echo(f"  it failed:      {escape(resume_command('--fail', call))}")
    echo()
    _print_closing(did(document, cost), place(document))
    if result.status == "failed":
        hint(f"to try its last state again: {resume_command('--retry-failed')}")


def error_text(error: dict[str, Any]) -> str:
    """An error of a run on one line, with its place in the user's code."""
    text = f"{error.get('type') or 'error'}: {error.get('message')}"
    place = error.get("location")
    return one_line(f"{text} ({place})" if place else text)


def did(document: dict[str, Any], cost: Cost) -> str:
    """What the run did so far: calls, tokens, cost, retries."""
    parts = [_model_calls(document), count_of(document["tool_calls"], "tool call")]
    if document["served_calls"]:
        parts.append(f"{document['served_calls']} served from the log")
    parts += [
        count_of(document["total_tokens"], "token"),
        *_costs(cost),
        count_of(document["retries"], "retry", "retries"),
    ]
    return ", ".join(parts)


def place(document: dict[str, Any]) -> str:
    """Where all of it is written, and the hash that shows whether it is changed later."""
    return f"log {escape(document['log'])}, head {document['head']}"


def _costs(cost: Cost) -> list[str]:
    """What is known of it, and of which models nothing is; nothing where no model was called."""
    known = []
    if cost.priced_calls:
        from replayt_cli.render.stats import dollars

        known = [dollars(cost.usd)]
    if cost.unpriced_models:
        known.append(f"unpriced: {', '.join(map(one_line, cost.unpriced_models))}")
    return known


def _model_calls(document: dict[str, Any]) -> str:
    """How many, and who was asked: a made-up answer must never look like a model's."""
    unsent = document["llm_calls_unsent"]
    calls = document["llm_calls"] - unsent
    if not calls:
        return f"no model call ({unsent} could not be made)" if unsent else "no model call"
    if document["hosts"]:
        asked = f"to {', '.join(document['hosts'])}"
    elif document["providers"] == ["offline"]:
        asked = "offline: no model was called"
    else:
        asked = "no host is recorded"
    if unsent:
        asked += f"; {unsent} more could not be made"
    return f"{count_of(calls, 'model call')} ({escape(asked)})"


def _approval(approval_id: str, joined: str) -> list[str]:
    """An id that starts with a dash has to be joined to its option."""
    return [joined] if approval_id.startswith("-") else ["--approval", approval_id]


def _print_closing(what: str, where: str) -> None:
    """One line; where the terminal is too narrow for it, two that say one thing each."""
    line, columns = f"{what}; {where}", width()
    if columns is None or columns_of(line) <= columns:
        echo(line)
        return
    _print_wrapped(f"{what};", indent="")
    _print_wrapped(where, indent="")


def _print_wrapped(text: str, *, indent: str) -> None:
    for line in wrap(text, width(), indent=indent):
        echo(line)
