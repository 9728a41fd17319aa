"""What recorded runs did with a graph: how often each edge was taken, each state entered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from replayt_cli.analyse.fresh_index import fresh_index
from replayt_cli.render.live.progress import Progress
from replayt_core import DamagedLogError, Event, Workflow
from replayt_core.ports import EventStore
from replayt_core.records import Records, records
from replayt_store.selection import Selection

Edge = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class GraphCounts:
    """A graph, and what the runs of its workflow did with it.

    `edges` are the declared ones; of a workflow that declares none, the moves that runs made.
    `moves` and `visits` hold what was taken and entered, `edge_runs` how many runs took an edge.
    `elsewhere` are moves that the graph does not have now. `versions` says how many runs were
    counted of each version, `other_graph` how many of them were recorded with another graph, and
    `damaged` how many could only be read in part.
    """

    workflow: Workflow
    declared: bool
    edges: tuple[Edge, ...]
    moves: Mapping[Edge, int]
    edge_runs: Mapping[Edge, int]
    visits: Mapping[str, int]
    elsewhere: Mapping[Edge, int]
    versions: Mapping[str, int]
    other_graph: int
    damaged: int

    @property
    def runs(self) -> int:
        """How many runs were counted."""
        return sum(self.versions.values())


def count_runs(store: EventStore, workflow: Workflow, selection: Selection) -> GraphCounts:
    """Count what the selected runs of a store did. One run at a time is in memory.

    A damaged log counts as far as it can be read.
    """
    counting = _Counting(workflow)
    with fresh_index(store) as index:
        total = index.count(selection)
        with Progress.of("counting") as progress:
            for done, run in enumerate(index.runs(selection), 1):
                counting.add(store, run.run_id, run.summary.workflow_version)
                progress.show(done, total)
    return counting.finish()


class _Counting:
    """The sums, while the runs come in."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._graph = _comparable(workflow.initial, list(workflow.steps), workflow.edges)
        self._moves: Counter[Edge] = Counter()
        self._edge_runs: Counter[Edge] = Counter()
        self._visits: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._other_graph = 0
        self._damaged = 0

    def add(self, store: EventStore, run_id: str, version: str | None) -> None:
        reading = _Reading(store, run_id)
        found = records(run_id, reading.events())
        if reading.first is None:
            return  # deleted meanwhile
        self._damaged += reading.damaged
        self._versions[version or ""] += 1
        graph = reading.first.payload.get("graph")
        self._other_graph += isinstance(graph, dict) and _recorded(graph) != self._graph
        moves = _moves(found)
        self._moves.update(moves)
        self._edge_runs.update(moves.keys())
        self._visits.update(row.state for row in found.states if row.attempt == 1)

    def finish(self) -> GraphCounts:
        workflow = self._workflow
        edges = workflow.edges or self._undeclared()
        inside = set(edges)
        return GraphCounts(
            workflow=workflow,
            declared=bool(workflow.edges),
            edges=tuple(edges),
            moves={edge: self._moves[edge] for edge in edges if edge in self._moves},
            edge_runs={edge: self._edge_runs[edge] for edge in edges if edge in self._moves},
            visits={name: self._visits[name] for name in workflow.steps if name in self._visits},
            elsewhere={
                edge: count for edge, count in self._moves.most_common() if edge not in inside
            },
            versions=dict(self._versions.most_common()),
            other_graph=self._other_graph,
            damaged=self._damaged,
        )

    def _undeclared(self) -> list[Edge]:
        """The moves between states of the workflow, in the order of its states."""
        order = {name: place for place, name in enumerate(self._workflow.steps)}
        inside = [edge for edge in self._moves if order.keys() >= set(edge)]
        return sorted(inside, key=lambda edge: (order[edge[0]], order[edge[1]]))


class _Reading:
    """The events of a run as far as they can be read, and what was seen on the way."""

    def __init__(self, store: EventStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self.first: Event | None = None
        self.damaged = False

    def events(self) -> Iterator[Event]:
        try:
            for event in self._store.read(self._run_id):
                self.first = self.first or event
                yield event
        except DamagedLogError:
            self.damaged = True


def _moves(found: Records) -> Counter[Edge]:
    return Counter(
        (row.from_state, row.to_state)
        for row in found.transitions
        if row.from_state is not None and row.to_state is not None
    )


def _recorded(graph: Mapping[str, Any]) -> object:
    states, edges = graph.get("states"), graph.get("edges")
    return _comparable(
        graph.get("initial"),
        states if isinstance(states, list) else [],
        [tuple(edge) for edge in edges if isinstance(edge, list)]
        if isinstance(edges, list)
        else [],
    )


def _comparable(initial: Any, states: list[Any], edges: list[Any]) -> object:
    """A graph without the order in which it was declared."""
    return initial, sorted(map(repr, states)), sorted(map(repr, edges))
