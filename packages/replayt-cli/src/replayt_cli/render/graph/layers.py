"""The layers of a graph that is drawn from top to bottom: who stands where, and in which order.

The usual four steps for drawing directed graphs: turn edges around until there is no cycle, give
each state a layer below all that lead to it, let long edges pass through every layer between, and
order each layer so that few edges cross. The same graph always gives the same picture.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

MOST_BENDS = 1_200
"""Long edges of denser graphs are drawn straight: a picture of everything shows nothing."""
_SWEEPS = 12

Edge = tuple[str, str]


@dataclass(slots=True)
class Link:
    """An edge as it is laid out: `chain` leads down, from the upper end to the lower one.

    The chain holds the numbers of the places that it passes. `turned` says that the edge itself
    leads up.
    """

    edge: Edge
    turned: bool
    chain: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Layering:
    """Places by layer, in drawing order. A place is a state, or (`None`) where a link passes."""

    names: list[str | None]
    layers: list[list[int]]
    links: list[Link]


def layered(initial: str | None, names: Sequence[str], edges: Iterable[Edge]) -> Layering:
    """The layers of a graph. Loops from a state to itself take no part in it."""
    links = _without_cycles(initial, names, [edge for edge in edges if edge[0] != edge[1]])
    layer = _layer_of(initial, names, links)
    number = {name: index for index, name in enumerate(names)}
    places: list[str | None] = list(names)
    layers: list[list[int]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in _reading_order(initial, names, links):
        layers[layer[name]].append(number[name])
    left = MOST_BENDS
    for link in sorted(links, key=lambda item: _span(item, layer)):
        upper, lower = _ends(link)
        between = range(layer[upper] + 1, layer[lower])
        bends = []
        if len(between) <= left:
            left -= len(between)
            for depth in between:
                bends.append(len(places))
                layers[depth].append(len(places))
                places.append(None)
        link.chain = [number[upper], *bends, number[lower]]
    layering = Layering(places, layers, links)
    _order(layering)
    return layering


def _ends(link: Link) -> Edge:
    source, target = link.edge
    return (target, source) if link.turned else (source, target)


def _span(link: Link, layer: dict[str, int]) -> int:
    upper, lower = _ends(link)
    return layer[lower] - layer[upper]


def _without_cycles(initial: str | None, names: Sequence[str], edges: list[Edge]) -> list[Link]:
    """A link for each edge; those that lead back to where a walk came from are turned around."""
    following: dict[str, list[str]] = {name: [] for name in names}
    entered = set()
    for source, target in edges:
        following[source].append(target)
        entered.add(target)
    roots = [*([initial] if initial in following else []), *(n for n in names if n not in entered)]
    back: set[Edge] = {edge for edge in edges if edge[1] == initial}
    done: set[str] = set()
    for root in [*roots, *names]:
        if root in done:
            continue
        done.add(root)
        on_path = {root}
        stack: list[tuple[str, Iterator[str]]] = [(root, iter(following[root]))]
        while stack:
            name, rest = stack[-1]
            below = next(rest, None)
            if below is None:
                on_path.discard(name)
                stack.pop()
            elif below in on_path:
                back.add((name, below))
            elif below not in done:
                done.add(below)
                on_path.add(below)
                stack.append((below, iter(following[below])))
    return [Link(edge, edge in back) for edge in dict.fromkeys(edges)]


def _layer_of(initial: str | None, names: Sequence[str], links: Sequence[Link]) -> dict[str, int]:
    """A layer for each state: one below the lowest that leads to it."""
    below: dict[str, list[str]] = {name: [] for name in names}
    waits_for = dict.fromkeys(names, 0)
    for link in links:
        upper, lower = _ends(link)
        below[upper].append(lower)
        waits_for[lower] += 1
    tops = [name for name in names if not waits_for[name]]
    layer = dict.fromkeys(names, 0)
    ready = list(tops)
    while ready:
        name = ready.pop()
        for lower in below[name]:
            layer[lower] = max(layer[lower], layer[name] + 1)
            waits_for[lower] -= 1
            if not waits_for[lower]:
                ready.append(lower)
    for name in tops:  # what nothing leads to stands close to where it leads
        if name != initial and below[name]:
            layer[name] = min(layer[lower] for lower in below[name]) - 1
    return layer


def _reading_order(initial: str | None, names: Sequence[str], links: Sequence[Link]) -> list[str]:
    """The states breadth first from the initial one: what the ordering starts from."""
    below: dict[str, list[str]] = {name: [] for name in names}
    for link in links:
        upper, lower = _ends(link)
        below[upper].append(lower)
    order: dict[str, None] = {}
    for root in [*([initial] if initial in below else []), *names]:
        queue = [root]
        for name in queue:
            if name not in order:
                order[name] = None
                queue += below[name]
    return list(order)


def _order(layering: Layering) -> None:
    """Order each layer by where its neighbours stand; the best of several sweeps is kept."""
    above: dict[int, list[int]] = {index: [] for index in range(len(layering.names))}
    below: dict[int, list[int]] = {index: [] for index in range(len(layering.names))}
    for link in layering.links:
        for upper, lower in pairwise(link.chain):
            below[upper].append(lower)
            above[lower].append(upper)
    best, fewest = [list(row) for row in layering.layers], _crossings(layering.layers, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        rows = layering.layers if down else layering.layers[::-1]
        neighbours = above if down else below
        for fixed, row in pairwise(rows):
            position = {place: index for index, place in enumerate(fixed)}
            current = {place: index for index, place in enumerate(row)}
            row.sort(key=lambda place: _middle(neighbours[place], position, current[place]))
        crossings = _crossings(layering.layers, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in layering.layers], crossings
    layering.layers = best


def _middle(neighbours: Sequence[int], position: dict[int, int], current: int) -> float:
    at = [position[place] for place in neighbours if place in position]
    return sum(at) / len(at) if at else float(current)


def _crossings(layers: Sequence[Sequence[int]], below: dict[int, list[int]]) -> int:
    """How many pairs of links cross between neighbouring layers."""
    found = 0
    for upper, lower in pairwise(layers):
        position = {place: index for index, place in enumerate(lower)}
        seen: list[int] = []
        for place in upper:
            ends = [position[end] for end in below[place] if end in position]
            for end in ends:
                found += len(seen) - bisect_right(seen, end)
            for end in ends:
                insort(seen, end)
    return found
