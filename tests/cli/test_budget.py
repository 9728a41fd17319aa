"""`--budget-calls` and `--budget-tokens`: what a run may use of models (issue 5 point 7)."""

from __future__ import annotations

import pytest

from tests.cli.helpers import Shell, one_line

ASKS = """
from replayt_core import Workflow

wf = Workflow("asks")
wf.set_initial("ask")


@wf.step("ask", to=["gate"])
def ask(ctx):
    for number in range(ctx.get("times")):
        ctx.llm.complete_text(messages=[{"role": "user", "content": f"word {number}?"}])
    return "gate"


@wf.step("gate")
def gate(ctx):
    if ctx.get("times") < 3 and ctx.request_approval("go"):
        ctx.llm.complete_text(messages=[{"role": "user", "content": "one more?"}])
"""


def run(shell: Shell, times: int, *words: str) -> int:
    shell.write("asks.py", ASKS)
    words = ("--dry-run", "--run-id", "a", "--input", f"times={times}", *words)
    return shell.call("run", "asks.py", *words).code


def test_a_run_fails_where_its_budget_of_calls_ends_and_a_larger_one_goes_on(shell: Shell) -> None:
    """Issue 5 point 7: exit 1, the account in the log, `--retry-failed` with more."""
    assert run(shell, 4, "--budget-calls", "2") == 1
    failed = next(event for event in shell.events("a") if event["type"] == "run_failed")
    assert failed["payload"]["error"]["type"] == "BudgetExceededError"
    assert failed["payload"]["error"]["account"]["llm_calls"] == 2
    again = ("resume", "asks.py", "a", "--dry-run", "--retry-failed")
    assert shell.call(*again, "--budget-calls", "2").code == 1
    assert shell.call(*again, "--budget-calls", "6").code == 0
    assert sum(event["type"] == "llm_request" for event in shell.events("a")) == 6


def test_a_budget_of_no_tokens_allows_no_call(shell: Shell) -> None:
    """Issue 5 point 7."""
    assert run(shell, 1, "--budget-tokens", "0") == 1
    assert "llm_request" not in [event["type"] for event in shell.events("a")]


def test_the_command_that_goes_on_keeps_the_budget(shell: Shell) -> None:
    """Issue 5 point 7: the account is that of the whole run, so the limit has to go with it."""
    shell.write("asks.py", ASKS)
    ended = shell.call(
        "run", "asks.py", "--dry-run", "--run-id", "a", "--input", "times=1", "--budget-calls", "1"
    )
    assert ended.code == 2
    assert "--dry-run --budget-calls 1" in ended.out
    words = ("--approval", "go", "--dry-run", "--budget-calls", "1")
    ended = shell.call("resume", "asks.py", "a", *words)
    assert ended.code == 1
    assert "the budget of 1 model call is used up" in ended.out + ended.err


def test_a_fork_has_an_account_of_its_own(shell: Shell) -> None:
    """Issue 5 point 7."""
    assert run(shell, 3, "--budget-calls", "3") == 0
    words = ("fork", "asks.py", "a", "--at", "ask", "--dry-run", "--budget-calls", "3")
    assert shell.call(*words).code == 0


@pytest.mark.parametrize("option", ["--budget-calls", "--budget-tokens"])
def test_a_limit_is_a_count(shell: Shell, option: str) -> None:
    """SC-119: 64, one line."""
    shell.write("asks.py", ASKS)
    for value in ("-1", "many"):
        ended = shell.call("run", "asks.py", option, value)
        assert ended.code == 64
        assert option in one_line(ended)
