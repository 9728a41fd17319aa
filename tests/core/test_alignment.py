"""Aligning two sequences: the longest common part, in bounded time."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core._alignment import MOST_EDITS, Pairs, align
from tests.drawn import examples

words = st.lists(st.sampled_from("abc"), max_size=14)
bounded = examples(200)


class Counted:
    """An element that counts how often any is compared."""

    looks: ClassVar[int] = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return isinstance(other, Counted) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


def longest(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence, by the textbook table."""
    row = [0] * (len(b) + 1)
    for left in a:
        before = row
        row = [0]
        for index, right in enumerate(b):
            row.append(before[index] + 1 if left == right else max(row[-1], before[index + 1]))
    return row[-1]


def fits(a: list[str], b: list[str], pairs: Pairs) -> bool:
    equal = all(a[left] == b[right] for left, right in pairs)
    steps = pairwise(pairs)
    return equal and all(one[0] < two[0] and one[1] < two[1] for one, two in steps)


@bounded
@given(words, words)
def test_as_much_as_can_be_is_aligned_and_in_order(a: list[str], b: list[str]) -> None:
    pairs = align(a, b)
    assert fits(a, b, pairs)
    assert len(pairs) == longest(a, b)


@bounded
@given(words, words)
def test_it_is_the_same_from_both_sides(a: list[str], b: list[str]) -> None:
    assert align(b, a) == [(right, left) for left, right in align(a, b)]


def test_an_element_more_shifts_nothing() -> None:
    a = ["read", "work", "check"] * 400
    b = [*a[:600], "work", *a[600:]]
    assert align(a, b) == [(n, n + (n >= 600)) for n in range(1_200)]


@pytest.mark.parametrize("names", ["ab", "abcdefgh", "a"])
def test_sequences_that_are_far_apart_are_compared_in_bounded_steps(names: str) -> None:
    """Issue 6 point 2: 5,000 visits of a few states, nothing alike in their order."""
    a = [Counted(names[number * number % len(names)]) for number in range(5_000)]
    b = [Counted(names[number**3 % 7 % len(names)]) for number in range(4_000)]
    Counted.looks = 0
    pairs = align(a, b)
    assert fits([item.name for item in a], [item.name for item in b], pairs)
    assert Counted.looks <= 3 * MOST_EDITS * (len(a) + len(b))


def test_beyond_the_bound_elements_are_matched_by_their_occurrence() -> None:
    a = [f"only a {number}" for number in range(MOST_EDITS)]
    b = [f"only b {number}" for number in range(MOST_EDITS)]
    assert align([*a, "x", *a, "x", "y"], [*b, "x", "x", *b, "z"]) == [
        (MOST_EDITS, MOST_EDITS),
        (2 * MOST_EDITS + 1, MOST_EDITS + 1),
    ]
