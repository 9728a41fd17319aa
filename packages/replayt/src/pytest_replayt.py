"""The pytest plugin: pinned runs as tests, and the fakes that tests of workflows need.

`replayt pin RUN_ID --out tests/runs` keeps a run; `replay_run(workflow, name)` executes the
workflow against it, offline. pytest loads this module in every session of the environment, so it
stands beside the package `replayt` and not in it, and what the fixtures need is imported by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest

if TYPE_CHECKING:
    from replayt import Difference, MemoryStore, Verification, Workflow
    from replayt.persistence import JSONLStore
    from replayt.testing import MockLLMClient

RUNS = "runs"
_SHOWN_RUNS = 10
_SECONDS = 60.0
"""How long executing one run again may take: whatever calls `ctx` in a loop ends as a failure."""


class ReplayRun(Protocol):
    """What the fixture `replay_run` is: call it with a workflow and the name of a pinned run."""

    def __call__(
        self,
        workflow: Workflow,
        name: str,
        *,
        tools: Sequence[Callable[..., Any]] = (),
        supplied: Mapping[str, Any] | None = None,
    ) -> Verification:
        """What was verified. Fails the test when the workflow does something else."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `replayt_runs`."""
    parser.addini(
        "replayt_runs",
        "Directory of the pinned runs, relative to this file (default: runs beside the test file).",
        default="",
    )


@pytest.fixture
def mock_llm() -> MockLLMClient:
    """A model client that answers from a queue: `mock_llm.enqueue(...)`."""
    from replayt.testing import MockLLMClient

    return MockLLMClient()


@pytest.fixture
def run_store() -> MemoryStore:
    """An empty store in memory."""
    from replayt import MemoryStore

    return MemoryStore()


@pytest.fixture
def replay_run(request: pytest.FixtureRequest) -> ReplayRun:
    """Execute a workflow again against a pinned run; a difference fails the test.

    `replay_run(workflow, name, tools=(), supplied=None)`: the name is the run's id, or how the id
    of the only such run begins. The tools are those that the runner was given; `supplied` hands in
    values that the log has hidden (`redact_keys`).
    """
    directory = _directory(request)

    def replay(
        workflow: Workflow,
        name: str,
        *,
        tools: Sequence[Callable[..., Any]] = (),
        supplied: Mapping[str, Any] | None = None,
    ) -> Verification:
        from replayt import DamagedLogError, RedactedValueError, StoreError, verify
        from replayt.persistence import JSONLStore

        store = JSONLStore(directory)
        run_id = _find(store, name)
        try:
            events = store.read(run_id)
            found = verify(
                workflow, events, tools=tools, timeout_seconds=_SECONDS, supplied=supplied
            )
        except (DamagedLogError, StoreError) as error:
            _fail(f"pinned run {run_id} cannot be read: {error}")
        except RedactedValueError as error:
            _fail(f"pinned run {run_id} cannot be executed again: {error}; here: supplied={{...}}")
        if not (found.ok and found.executed):
            lines = [f"{store.path(run_id)} does not verify any more:", *_findings(found)]
            _fail("\n".join(lines))
        return found

    return replay


def _directory(request: pytest.FixtureRequest) -> Path:
    setting = str(request.config.getini("replayt_runs")).strip()
    if not setting:
        return request.path.parent / RUNS
    inipath = request.config.inipath
    return (inipath.parent if inipath else request.config.rootpath) / setting


def _find(store: JSONLStore, name: str) -> str:
    run_ids = sorted(store.run_ids())
    if name in run_ids:
        return name
    fitting = [run_id for run_id in run_ids if name and run_id.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        _fail(f"{name!r} fits {len(fitting)} pinned runs: {_listed(fitting)}")
    there = _listed(run_ids) if run_ids else "none"
    _fail(
        f"no pinned run {name!r} in {store.directory} (there: {there}); "
        f"`replayt pin RUN_ID --out {store.directory}` keeps one"
    )


def _listed(run_ids: Sequence[str]) -> str:
    return ", ".join(run_ids[:_SHOWN_RUNS]) + (", …" if len(run_ids) > _SHOWN_RUNS else "")


def _findings(found: Verification) -> Iterator[str]:
    if found.damage is not None:
        yield f"  damaged   {found.damage}"
    elif not found.executed:
        yield "  it was written by replayt 0.1 to 0.4, which cannot be executed again"
    for seq, problem in found.illegal:
        yield f"  illegal   seq {seq}: {problem}"
    if found.difference is not None:
        yield from _difference(found.difference)
    for text in found.not_replayable:
        yield f"  not replayable: {text}"
    for note in found.notes:
        yield f"  note      {note}"


def _difference(difference: Difference) -> Iterator[str]:
    place = f"seq {difference.seq}, state {difference.state!r}"
    if difference.visit > 1:
        place += f", visit {difference.visit}"
    if difference.attempt > 1:
        place += f", attempt {difference.attempt}"
    if difference.location:
        place += f", {difference.location}"
    yield f"  first difference: {difference.what}"
    yield f"  at        {place}"
    yield f"  recorded  {difference.recorded}"
    yield f"  now       {difference.now}"
    yield from (f"    {line}" for line in difference.details)


def _fail(text: str) -> NoReturn:
    """Fail the test without a traceback; nothing invisible of a log reaches a terminal."""
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    pytest.fail("".join(shown), pytrace=False)
