"""The rule for run ids (SC-32, R25)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core.errors import InvalidRunIdError
from replayt_core.run_ids import check_run_id
from tests.drawn import examples


@pytest.mark.parametrize("good", ["a", "7", "r1", "A.b-c_d", "x" * 128, "0198-7", "console", "a.b"])
def test_ordinary_ids_are_accepted(good: str) -> None:
    assert check_run_id(good) is good


@pytest.mark.parametrize(
    "bad",
    [
        *("", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "-a", "_a", ".a", "a.", "x" * 129),
        *("a b", "a\n", "\na", "a\0", "é", "\uff41", "\u0663", "a\u202eb", "a:b", "a%2fb", "~"),
        *("CON", "con", "aux", "NUL.txt", "nul.tar.gz", "Com1", "lpt9.x", "prn"),
    ],
)
def test_ids_that_some_system_cannot_keep_are_refused(bad: str) -> None:
    with pytest.raises(InvalidRunIdError) as caught:
        check_run_id(bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [None, 7, b"r1", ["r1"]])
def test_what_is_no_text_is_refused(bad: object) -> None:
    with pytest.raises(InvalidRunIdError):
        check_run_id(bad)  # type: ignore[arg-type]


@examples(100)
@given(st.text(max_size=140) | st.from_regex(r"[A-Za-z0-9._/-]{1,130}"))
def test_an_accepted_id_is_one_safe_path_part(text: str) -> None:
    try:
        check_run_id(text)
    except InvalidRunIdError:
        return
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text)
    assert not text.endswith(".")
