"""Whatever stands in a file, the loader makes a workflow of it or says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replayt_core import WorkflowFileError
from replayt_core.yaml_spec import parse_workflow
from tests.core.yaml_files import APPROVAL, GOOD
from tests.drawn import examples

pytest.importorskip("yaml", reason="PyYAML is not installed here: the extra `yaml`")

FILES = [good.text for good in GOOD.values() if "yaml_demo_tools" not in good.text]
FILES.append(APPROVAL.replace("yaml_demo_tools:pay", "nosuch_tools:pay"))
PIECES = st.sampled_from(
    ["{", "}", "[", "]", ":", "- ", "\n", " ", "  ", "&a ", "*a", "!!str ", "<<: ", "'", '"', "|",
     "? ", "#", "%", "@", "`", "\t", "\0", "\ufeff", "\u2028", "é", "null", "yes", "0755", ",",
     "~", "---\n", "...\n", "prompt", "next: ", "{x.y}", "\ud800"]
)  # fmt: skip


def problems(text: str | bytes) -> tuple[str, ...]:
    try:
        parse_workflow(text, source="flow.yaml").graph()
    except WorkflowFileError as error:
        return error.problems or ("no problem is named",)
    return ()


def check(text: str | bytes) -> None:
    for problem in problems(text):
        assert problem.startswith("flow.yaml:")
        assert len(problem.splitlines()) == 1


@examples(300)
@given(st.data())
def test_a_file_with_pieces_cut_out_and_put_in(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(FILES))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(PIECES | st.just("")) + text[end:]
    check(text)


@examples(200)
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_and_any_bytes(text: str | bytes) -> None:
    check(text)
