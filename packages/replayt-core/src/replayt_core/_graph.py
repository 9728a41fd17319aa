"""The declared graph, looked at without running anything: faults, reachability, Mermaid text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault of a graph: a stable `code`, the state or edge, and what to do."""

    code: str
    subject: str
    message: str

    def __str__(self) -> str:
        return self.message


def reachable(start: str, edges: Iterable[Sequence[str]]) -> set[str]:
    """The states that can be reached from `start`, itself included."""
    following: dict[str, list[str]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    seen, open_states = {start}, [start]
    while open_states:
        for target in following.get(open_states.pop(), ()):
            if target not in seen:
                seen.add(target)
                open_states.append(target)
    return seen


def find_faults(
    initial: str | None, states: Sequence[str], edges: Sequence[tuple[str, str]]
) -> list[Finding]:
    """All faults at once, in a stable order."""
    found: list[Finding] = []
    known = set(states)
    if initial is None:
        found.append(
            Finding("no-initial", "", "the initial state is not set: call set_initial(state)")
        )
    elif initial not in known:
        text = f"the initial state {initial!r} has no handler: declare @wf.step({initial!r})"
        found.append(Finding("initial-without-handler", initial, text))
    for source, target in edges:
        edge = f"{source} -> {target}"
        if source not in known:
            text = f"the edge {edge} starts at {source!r}, which has no handler"
            found.append(Finding("unknown-edge-source", edge, text))
        if target not in known:
            text = f"the edge {edge} leads to {target!r}, which has no handler"
            found.append(Finding("unknown-edge-target", edge, text))
    if edges and initial is not None:
        inside = reachable(initial, edges)
        for state in states:
            if state not in inside:
                text = f"state {state!r} cannot be reached from {initial!r}: declare an edge to it"
                found.append(Finding("unreachable", state, text))
    return found


def mermaid(
    initial: str | None,
    states: Sequence[str],
    edges: Sequence[tuple[str, str]],
    labels: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """The graph as a Mermaid flowchart.

    Nodes are called `s0`, `s1`, … and carry the state's name as an escaped label, so that names
    with spaces, quotes or newlines stay distinct and parseable.
    """
    names = list(dict.fromkeys([*states, *(end for edge in edges for end in edge)]))
    ids = {name: f"s{index}" for index, name in enumerate(names)}
    lines = ["flowchart TD"]
    for name in names:
        left, right = ("([", "])") if name == initial else ("[", "]")
        lines.append(f'    {ids[name]}{left}"{_label(name)}"{right}')
    for edge in edges:
        label = (labels or {}).get(edge)
        arrow = f'-->|"{_label(label)}"|' if label else "-->"
        lines.append(f"    {ids[edge[0]]} {arrow} {ids[edge[1]]}")
    if initial in ids:
        lines.append(f"    start(( )) --> {ids[initial]}")
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    """Text inside a quoted Mermaid label: entities for all that could end or style it."""
    return "".join(
        char
        if (char.isalnum() or char in " _-.,:/()+") and char.isprintable()
        else f"#{ord(char)};"
        for char in text
    )
