"""Executing a run from the command line: its model, its end, and what is said about it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from replayt_cli import exit_codes
from replayt_cli.arguments.options import Output
from replayt_cli.arguments.store_choice import StoreChoice, command_line
from replayt_cli.errors import Terminated
from replayt_cli.execute.costs import Cost, cost_of
from replayt_cli.execute.signals import OrderlyEnd
from replayt_cli.project.config import Config
from replayt_cli.project.settings import BASE_URL, MODEL, PROVIDER, is_set, model_environment
from replayt_cli.render.json import print_json
from replayt_cli.render.outcome import print_outcome
from replayt_cli.render.text import complain, is_terminal, warn
from replayt_cli.streams import kept_for_results
from replayt_core import Budget, LLMError, LogMode, Runner, RunResult, Workflow, fold
from replayt_core.ports import (
    DescribesRequests,
    EventStore,
    HoldsSecrets,
    LLMClient,
    LLMClientFactory,
)

if TYPE_CHECKING:
    from replayt_cli.execute.event_loop import AwaitedRunner
    from replayt_cli.execute.live_display import Live
    from replayt_core.records import LLMCallRow
    from replayt_store.prices import Prices


def llm_factory(config: Config, *, dry_run: bool) -> LLMClientFactory:
    """Where the models of a run come from, or with `dry_run` nowhere.

    The environment says so, and the project's configuration where the environment does not. Both
    are judged at the first model call, so a workflow without one needs no key. The keys of the
    environment count as secrets from the start.
    """
    from replayt_llm import client_factory_from_env

    factory = client_factory_from_env(model_environment(config))
    return _DryRun(factory) if dry_run else factory


def configured_client(config: Config) -> DescribesRequests | None:
    """What can say, offline and without any key, which model and host a call would use now.

    None where environment and configuration name neither provider nor model nor URL: nobody chose
    anything.
    """
    env = model_environment(config)
    if not any(is_set(env, name) for name in (PROVIDER, MODEL, BASE_URL)):
        return None
    from replayt_llm import LLMSettings

    try:
        settings = LLMSettings.from_env(env)
    except LLMError as error:
        warn(f"model calls are not compared with the environment: {error}")
        return None
    client = replace(settings, api_key=settings.api_key or "none").client()
    return client if isinstance(client, DescribesRequests) else None


def live_view(
    store: EventStore, run_id: str, output: Output, *, prices: Prices | None, quiet: bool
) -> Live | None:
    """What shows a run while it is executed: where stderr is a terminal, and the result is text."""
    if quiet or output is Output.json or not is_terminal(sys.stderr):
        return None
    from replayt_cli.execute.live_display import Live, may_spin

    return Live(store, run_id, sys.stderr, spins=may_spin(), prices=prices)


@dataclass(frozen=True)
class _DryRun:
    """The offline provider, with the secrets of the environment known all the same."""

    live: LLMClientFactory

    def client(self) -> LLMClient:
        """The client that calls no model."""
        from replayt_llm import LLMSettings

        return LLMSettings.for_provider("offline").client()

    def secrets(self) -> list[str]:
        """The secrets that no event may hold."""
        return list(self.live.secrets()) if isinstance(self.live, HoldsSecrets) else []


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run that this process executes: where it is kept, and how it is taken up again.

    `parent` is the run that it is a fork of, `timeout` the seconds it may take, `budget` what it
    may use of models, `prices` what those cost, `live` what shows it meanwhile.
    """

    target: str
    run_id: str
    store: EventStore
    choice: StoreChoice
    dry_run: bool = False
    parent: str | None = None
    timeout: float | None = None
    budget: Budget = field(default_factory=Budget)
    prices: Prices | None = None
    live: Live | None = None
    end: OrderlyEnd = field(default_factory=OrderlyEnd)

    def guarded_store(self) -> EventStore:
        """The store for the runner: no signal cuts its appends short, and they are shown."""
        return self.end.guard(self.store, None if self.live is None else self.live.seen)

    def runner(
        self, workflow: Workflow, *, log_mode: LogMode | str = LogMode.redacted, max_steps: int
    ) -> Runner | AwaitedRunner:
        """What executes the run: in an event loop, where a step is `async def`."""
        settings: dict[str, Any] = {
            "log_mode": log_mode,
            "llm_settings": llm_factory(self.choice.config, dry_run=self.dry_run),
            "max_steps": max_steps,
            "timeout_seconds": self.timeout,
            "budget": self.budget,
            "clock": self.end.clock(),
        }
        if not any(_is_async(step.handler) for step in workflow.steps.values()):
            return Runner(workflow, self.guarded_store(), **settings)
        from replayt_cli.execute.event_loop import AwaitedRunner
        from replayt_core.aio import AsyncRunner

        return AwaitedRunner(AsyncRunner(workflow, self.guarded_store(), **settings), self.end)

    def resume_command(self, *options: str) -> str:
        """The command that takes this run up, to be copied into a shell."""
        kept = [*self.choice.flags(), *(["--dry-run"] if self.dry_run else []), *self._limits()]
        return command_line("replayt", "resume", self.target, self.run_id, *options, *kept)

    def _limits(self) -> list[str]:
        """The options of the budget: the account goes on, so the limits have to."""
        limits = {"--budget-tokens": self.budget.tokens, "--budget-calls": self.budget.llm_calls}
        return [
            word
            for name, limit in limits.items()
            if limit is not None
            for word in (name, str(limit))
        ]

    def finish(self, execute: Callable[[], RunResult], output: Output) -> int:
        """Execute, print the outcome, and return the exit code."""
        try:
            with kept_for_results(), self._shown(), self.end.listening(), self._in_time():
                result = execute()
        except (KeyboardInterrupt, Terminated):
            if next(iter(self.store.read(self.run_id)), None) is not None:
                complain(f"interrupted; to go on: {self.resume_command()}")
            raise
        except SystemExit as error:
            # Its code means something else than ours.
            state = fold(self.run_id, self.store.read(self.run_id))
            if state.phase == "absent":
                raise
            complain(
                f"run {self.run_id}: state {state.state!r} called sys.exit({error.code!r}); "
                f"to try it again: {self.resume_command()}"
            )
            return exit_codes.FAILED
        calls = self._model_calls(result)
        cost = cost_of(calls, self.prices)
        document = self._document(result, calls, cost)
        if result.status == "paused":
            self._warn_of_ignored_answers()
        if output is Output.json:
            print_json(document)
        else:
            print_outcome(document, result, self.resume_command, cost)
        return exit_codes.for_status(result.status)

    def _shown(self) -> AbstractContextManager[None]:
        return nullcontext() if self.live is None else self.live.showing()

    def _in_time(self) -> AbstractContextManager[None]:
        """What ends the run when it has a timeout and does not heed it."""
        if self.timeout is None:
            return nullcontext()
        from replayt_cli.execute.watchdog import Watchdog

        how = f"to try its last state again: {self.resume_command('--retry-failed')}"
        return Watchdog(self.store, self.run_id, self.timeout).watching(how)

    def _warn_of_ignored_answers(self) -> None:
        """Say why a run still waits although somebody has written an answer into its log."""
        state = fold(self.run_id, self.store.read(self.run_id))
        asked = (state.pause.request_seq if state.pause is not None else None) or 0
        for seq, problem in state.ignored_resolutions.items():
            if seq > asked:
                warn(f"the answer at seq {seq} is ignored: {problem}")

    def _model_calls(self, result: RunResult) -> tuple[LLMCallRow, ...]:
        if not result.summary.llm_calls:
            return ()
        from replayt_core.records import digest

        return digest(self.run_id, self.store.read(self.run_id)).llm_calls

    def _document(
        self, result: RunResult, calls: Sequence[LLMCallRow], cost: Cost
    ) -> dict[str, Any]:
        summary = result.summary
        document: dict[str, Any] = {
            "run_id": result.run_id,
            "workflow": f"{summary.workflow_name}@{summary.workflow_version}",
            "status": result.status,
            "final_state": result.final_state,
            "error": result.error,
            "waiting": [approval.approval_id for approval in result.waiting],
            "waiting_call": result.waiting_call,
            "llm_calls": summary.llm_calls,
            "llm_calls_unsent": sum(call.error_kind == "not_configured" for call in calls),
            "tool_calls": summary.tool_calls,
            "served_calls": result.served_calls,
            "total_tokens": summary.total_tokens,
            "cost_usd": float(cost.usd) if cost.known else None,
            "unpriced_models": list(cost.unpriced_models),
            "retries": summary.retries + summary.llm_retries,
            "hosts": sorted(summary.hosts),
            "providers": sorted(summary.providers),
            "log": self.choice.place(self.store, result.run_id),
            "head": result.head,
        }
        if self.parent is not None:
            started = next(iter(self.store.read(result.run_id)))
            document["forked_from"] = started.payload.get("forked_from")
        return document


def _is_async(handler: Callable[..., object]) -> bool:
    """Whether calling it makes a coroutine; of an object with `__call__`, that counts."""
    called = getattr(handler, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)
