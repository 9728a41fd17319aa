"""Which elements of two sequences belong together: the longest common part, in bounded time.

What both begin and end with is set aside first. In between, the fewest insertions and deletions
are looked for, up to `MOST_EDITS` of them: so many steps for each of the elements, and no more.
Sequences further apart are matched by element and how often it occurred so far, as far as that
keeps the order; this takes a sort.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

MOST_EDITS = 200

Pairs = list[tuple[int, int]]


def align(a: Sequence[Hashable], b: Sequence[Hashable]) -> Pairs:
    """The pairs of indices of equal elements that belong together, in the order of both."""
    start, shorter = 0, min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    inner_a, inner_b = a[start : len(a) - end], b[start : len(b) - end]
    inner: Pairs = []
    if inner_a and inner_b:
        # Of several equally good answers the same one is taken, whichever sequence comes first.
        swapped = [*map(repr, inner_b)] < [*map(repr, inner_a)]
        sides = (inner_b, inner_a) if swapped else (inner_a, inner_b)
        found = _by_fewest_edits(*sides)
        inner = _by_occurrence(*sides) if found is None else found
        inner = [(right, left) for left, right in inner] if swapped else inner
    return [
        *((index, index) for index in range(start)),
        *((start + left, start + right) for left, right in inner),
        *((len(a) - left, len(b) - left) for left in range(end, 0, -1)),
    ]


def _by_fewest_edits(a: Sequence[Hashable], b: Sequence[Hashable]) -> Pairs | None:
    """The greedy search of Myers (1986); None where more than `MOST_EDITS` edits are needed.

    `reached[d]` is how far into `a` the best path on diagonal `d` (index in a minus index in b)
    has come; `steps` keeps it for each number of edits, to find the way back.
    """
    reached = {1: 0}
    steps: list[dict[int, int]] = []
    for edits in range(min(len(a) + len(b), MOST_EDITS) + 1):
        steps.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            before = _came_from(reached, diagonal, edits)
            left = reached[before] + (before < diagonal)
            right = left - diagonal
            while left < len(a) and right < len(b) and a[left] == b[right]:
                left, right = left + 1, right + 1
            reached[diagonal] = left
            if left >= len(a) and right >= len(b):
                return _way_back(steps, len(a), len(b))
    return None


def _came_from(reached: dict[int, int], diagonal: int, edits: int) -> int:
    """The diagonal that a path comes from: below by leaving an element of `a` out, else above."""
    if diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1]):
        return diagonal + 1
    return diagonal - 1


def _way_back(steps: list[dict[int, int]], left: int, right: int) -> Pairs:
    pairs: Pairs = []
    for edits in range(len(steps) - 1, -1, -1):
        reached, diagonal = steps[edits], left - right
        before = _came_from(reached, diagonal, edits)
        left_before = reached[before]
        right_before = left_before - before
        while left > max(left_before, 0) and right > max(right_before, 0):
            left, right = left - 1, right - 1
            pairs.append((left, right))
        left, right = left_before, right_before
    return pairs[::-1]


def _by_occurrence(a: Sequence[Hashable], b: Sequence[Hashable]) -> Pairs:
    """Equal elements of the same number of occurrence, the longest run that keeps the order."""
    places = {key: index for index, key in enumerate(_numbered(b))}
    found = [(index, places[key]) for index, key in enumerate(_numbered(a)) if key in places]
    ends: list[int] = []
    chains: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(found):
        length = bisect_left(ends, place)
        before.append(chains[length - 1] if length else -1)
        ends[length : length + 1] = [place]
        chains[length : length + 1] = [number]
    pairs: Pairs = []
    number = chains[-1] if chains else -1
    while number >= 0:
        pairs.append(found[number])
        number = before[number]
    return pairs[::-1]


def _numbered(elements: Sequence[Hashable]) -> list[tuple[Hashable, int]]:
    seen: Counter[Hashable] = Counter()
    numbered = []
    for element in elements:
        seen[element] += 1
        numbered.append((element, seen[element]))
    return numbered
