"""The one JSON object in a reply (SC-47, SC-48)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core._json_reply import NoSingleObjectError, find_object
from tests.drawn import examples

FOUND = {
    '{"a": 1}': {"a": 1},
    'Sure! Here it is:\n```json\n{"a": 1}\n```\nAnything else?': {"a": 1},
    "```\n{}\n```": {},
    'The {name} is in {braces}: {"a": "}{"} as asked {ok}': {"a": "}{"},
    '{\n\t "a": {"b": {"c": "\\"}"}}}': {"a": {"b": {"c": '"}'}}},
    "\ufeff{}": {},
    'f(x) = {x | x > 0}; {"a": null}': {"a": None},
}

BROKEN = {
    "": "no JSON object",
    "no braces": "no JSON object",
    "[1, 2]": "no JSON object",
    '"text"': "no JSON object",
    '{"a": 1} {"a": 2}': "more than one",
    '{"a": 1}\n\nor rather\n\n{"a": 1}': "more than one",
    '{"a": 1': "broken or cut off",
    '{"a": {"b": 1}': "broken or cut off",
    '{"a": "x': "broken or cut off",
    '{"a": 1,}': "broken or cut off",
    '{"a": NaN}': "broken or cut off",
    '{"a": -Infinity}': "broken or cut off",
    "{": "broken or cut off",
    '{"a": ' * 200_000: "nested too deeply",
}


@pytest.mark.parametrize("text", FOUND)
def test_one_object_is_found_whatever_stands_around_it(text: str) -> None:
    """SC-47."""
    assert json.loads(find_object(text)) == FOUND[text]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:30] or "empty")
def test_no_object_a_broken_one_or_two_are_refused_with_an_explicit_message(text: str) -> None:
    """SC-47, SC-48: an object inside one that broke off does not take its place."""
    with pytest.raises(NoSingleObjectError, match=BROKEN[text]):
        find_object(text)


prose = st.text(st.characters(exclude_characters="{}"), max_size=20)
objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("{}\"'a"), inner),
        max_leaves=5,
    ),
    max_size=4,
)


@examples(100)
@given(prose, objects, prose, st.sampled_from([None, 1, "\t"]))
def test_any_object_comes_out_of_any_prose(
    before: str, value: dict[str, Any], after: str, indent: Any
) -> None:
    """SC-47."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    assert find_object(before + text + after) == text


@examples(100)
@given(st.text("{}[]\"':,\\ ab1\n", max_size=60))
def test_any_text_is_an_object_or_refused(text: str) -> None:
    """R-24: no other exception, and what is found parses."""
    try:
        found = find_object(text)
    except NoSingleObjectError:
        return
    assert isinstance(json.loads(found), dict)
