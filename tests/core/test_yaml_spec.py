"""What the loader of workflow files takes, and how it tells what it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_core import DefinitionError, MemoryStore, Runner, WorkflowFileError
from replayt_core.yaml_spec import load_workflow, parse_workflow, workflow_schema
from tests.core.yaml_files import steps

pytest.importorskip("yaml", reason="PyYAML is not installed here: the extra `yaml`")


def problems(text: str | bytes) -> tuple[str, ...]:
    """What is wrong with a text."""
    with pytest.raises(WorkflowFileError) as caught:
        parse_workflow(text, source="flow.yaml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_all_problems_of_a_file_are_told_at_once_in_the_order_of_its_lines() -> None:
    """SC-185."""
    assert problems(
        "name: x\n"
        "versoin: 2\n"
        "initial: strat\n"
        "steps:\n"
        "  start:\n"
        "    transition: end\n"
        "  end:\n"
        "    next: gone\n"
        "    llm: {prompt: 'a { b'}\n"
        "    retry: {max_attempts: none}\n"
    ) == (
        "flow.yaml:2:1: unknown key 'versoin' in the file; did you mean 'version'?",
        "flow.yaml:3:10: `initial` names 'strat', which is no step; did you mean 'start'?",
        "flow.yaml:6:5: unknown key 'transition' in step 'start'; did you mean 'next'?",
        "flow.yaml:8:11: step 'end' leads to 'gone', which is no step; declare it under `steps`",
        "flow.yaml:9:10: `llm` has no `output_key`; add it",
        "flow.yaml:9:19: a single { stands here; write {{ for the brace",
        "flow.yaml:10:27: `max_attempts` is 'none'; write a number such as 2 or 0.5",
    )


def test_of_very_many_problems_the_first_are_told_and_the_rest_counted() -> None:
    found = problems("".join(f"k{n}: 1\n" for n in range(30)))
    assert len(found) == 21
    assert found[-1] == "flow.yaml: and 13 more problems; mend these first"


@pytest.mark.parametrize(
    ("version", "taken"),
    [("1", "1"), ("1.0", "1.0"), ("'2'", "2"), ("2024-01-02", "2024-01-02"), ("on", "on")],
)
def test_a_version_is_the_text_that_was_written(version: str, taken: str) -> None:
    workflow = parse_workflow(f"name: no\nversion: {version}\n" + steps("a: {}")[11:])
    assert (workflow.name, workflow.version) == ("no", taken)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("0", 0),
        ("-12", -12),
        ("0.5", 0.5),
        ("-1.5e-3", -0.0015),
        ("1e3", 1000.0),
        ("'no'", "no"),
        ('"12"', "12"),
        ("v1.0", "v1.0"),
        ("192.168.0.1", "192.168.0.1"),
        ("12 apples", "12 apples"),
        ("no way", "no way"),
        ("2024-01-02 was a Tuesday", "2024-01-02 was a Tuesday"),
        ("a1b2" * 20, "a1b2" * 20),
        ("{}", {}),
        ("[]", []),
        ("|\n      no\n", "no\n"),
    ],
)
def test_a_constant_is_what_json_knows_or_a_text(written: str, value: object) -> None:
    workflow = parse_workflow(steps(f"a:\n  set:\n    x: {written}\n"))
    found = Runner(workflow, MemoryStore()).run().context["x"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "written",
    [
        "yes", "No", "ON", "off", "y", "N", "True", "FALSE", "Null", "NULL", "~", "007", "0o17",
        "0x1F", "0b101", "1_000", "+1", "1.", ".5", "+.5", "1.5_0", "10:30", "1:2:3.5", ".inf",
        "-.INF", ".NaN", "2024-01-02", "2024-01-02T10:00:00Z", "2024-1-2 10:00", "08", "-0x1f",
    ],
)  # fmt: skip
def test_what_versions_of_yaml_disagree_about_has_to_be_quoted(written: str) -> None:
    (problem,) = problems(steps(f"a: {{set: {{x: [{written}]}}}}"))
    assert problem.startswith(f"flow.yaml:4:17: {written!r} is a text in some versions of YAML")


def test_without_a_version_it_is_1() -> None:
    """SC-18."""
    assert parse_workflow(steps("a: {}")).version == "1"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_mark_at_the_start_and_any_line_ends_are_taken(mark: bytes, end: bytes) -> None:
    data = mark + steps("a:\n  set: {x: ü}\n").encode().replace(b"\n", end)
    workflow = parse_workflow(data)
    assert workflow.code() == parse_workflow(steps("a:\n  set: {x: ü}\n")).code()
    assert Runner(workflow, MemoryStore()).run().context == {"x": "ü"}


def test_a_text_is_taken_as_a_file_is() -> None:
    with pytest.raises(WorkflowFileError, match=r"<text>:1:7: this byte is no UTF-8"):
        parse_workflow("name: \ud800")


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "nul\0.yaml"):
        with pytest.raises(WorkflowFileError, match=r"cannot be read: .*; check the path"):
            load_workflow(path)
    assert issubclass(WorkflowFileError, DefinitionError)


def test_a_path_may_be_bytes(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(steps("a: {}"), encoding="utf-8")
    assert load_workflow(os.fsencode(path)).graph() == load_workflow(path).graph()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            """
            a: {llm: {prompt: x, schema: {kind: {enum: [p, q]}}, output_key: out}, next: b}
            b: {branch: {key: out.knid, cases: {p: a}, default: a}}
            """,
            "flow.yaml:5:21: {out.knid}: 'out' has no field 'knid'; did you mean 'kind'?",
        ),
        (
            """
            a: {llm: {prompt: x, output_key: out}, next: b}
            b: {llm: {prompt: "{out.text}", output_key: more}}
            """,
            "flow.yaml:5:21: {out.text}: 'out' has no field 'text'; it is no object: use it as it "
            "is",
        ),
        (
            """
            a: {llm: {prompt: x, schema: {kind: {enum: [p, q]}}, output_key: out}, next: b}
            b: {branch: {key: out.kind, cases: {p: a, qq: a}, default: a}}
            """,
            "flow.yaml:5:45: the case 'qq' is no value of 'out.kind'; did you mean 'q'?",
        ),
        (
            """
            a: {llm: {prompt: x, schema: {kind: {enum: [p, q, r]}}, output_key: out}, next: b}
            b: {branch: {key: out.kind, cases: {p: a}}}
            """,
            "flow.yaml:5:15: the branch has no case for q, r; add it, or a `default`",
        ),
        (
            """
            a: {require: {ok: boolean}, branch: {key: ok, cases: {yes: a, no: a}, default: a}}
            """,
            "flow.yaml:4:57: the case 'yes' is no value of 'ok'; it has true, false",
        ),
        (
            """
            a: {require: [go], branch: {key: go, cases: {x: b, y: c}}}
            b: {llm: {prompt: "{word}", output_key: out}}
            c: {set: {word: hi}}
            """,
            "flow.yaml:5:21: {word}: nothing before this place gives 'word'; list it under "
            "`require` of step 'b' if it is an input",
        ),
        (
            """
            a: {llm: {prompt: "{out}", output_key: out}}
            """,
            "flow.yaml:4:21: {out}: nothing before this place gives 'out'; list it under "
            "`require` of step 'a' if it is an input",
        ),
    ],
)
def test_what_can_be_known_of_names_fields_and_cases_is_checked(text: str, said: str) -> None:
    assert problems(steps(text))[0] == said


@pytest.mark.parametrize(
    "text",
    [
        'a: {require: {x: {enum: ["p\\nq", r]}}, branch: {key: x, cases: {s: a}}}',
        'a: {llm: {prompt: "{x\\ny}", output_key: z}}',
        'a: {next: "p\\nq"}',
        'a: {set: {"p\\nq": 1}}',
        'a: {"p\\e[31mq": 1}',
        'a: {llm: {prompt: "{\\e[31m}", output_key: z}}',
        'a: {tool: {function: "p\\nq:r"}}',
    ],
)
def test_what_stands_in_a_file_breaks_no_line_of_its_problems(text: str) -> None:
    for problem in problems(steps(text)):
        assert problem.isprintable(), problem


def test_a_name_may_come_from_any_step_on_the_way_and_from_the_step_itself() -> None:
    parse_workflow(
        steps("""
            a: {set: {x: 1}, next: b}
            b: {next: c}
            c:
              require: [y]
              set: {z: 1}
              llm: {prompt: "{x} {y} {z} {out}", output_key: out}
              branch: {key: out, cases: {again: c}, default: d}
            d: {}
            """)
    )


@pytest.mark.parametrize(
    "text",
    [
        # one of the ways gives the field
        """
        a: {require: [go], branch: {key: go, cases: {x: b}, default: c}}
        b: {llm: {prompt: x, schema: {p: string}, output_key: out}, next: d}
        c: {llm: {prompt: x, schema: {q: string}, output_key: out}, next: d}
        d: {llm: {prompt: "{out.p} {out.q}", output_key: more}}
        """,
        # what is set counts, not what was required
        """
        a: {require: {x: {enum: [p]}}, set: {x: q}, branch: {key: x, cases: {q: a}}}
        """,
        # an object of which nothing is declared may have any field
        """
        a: {require: {x: object, y: any}, branch: {key: x.p.q, cases: {z: a}, default: b}}
        b: {require: [y], llm: {prompt: "{y.p}", output_key: out}}
        """,
        # what may be missing may be null
        """
        a:
          require: {x: {fields: {p: {enum: [q], optional: true}}}}
          branch: {key: x.p, cases: {q: a, null: a}}
        """,
        # data may have a key that is spelt like the merge key
        """
        a: {set: {x: {"<<": 1}}}
        """,
    ],
)
def test_what_can_be_so_is_taken(text: str) -> None:
    parse_workflow(steps(text))


def test_a_value_that_may_be_missing_needs_a_case_of_its_own() -> None:
    (problem,) = problems(
        steps("""
            a:
              require: {x: {fields: {p: {enum: [q], optional: true}}}}
              branch: {key: x.p, cases: {q: a}}
            """)
    )
    assert "the branch has no case for null" in problem


def test_the_lines_of_a_step_end_before_the_next_step() -> None:
    """A block of text reaches to the line where the next step begins, and no further."""
    first = """
        a:
          llm:
            output_key: out
            prompt: |
              Hello
          next: %s
        %s:
          llm:
            output_key: out
            prompt: |
              Hello
        %s: {}
        """
    code = parse_workflow(steps(first % ("b", "b", "c"))).code()
    assert parse_workflow(steps(first % ("b", "b", "d"))).code()["b"] == code["b"]
    changed = first.replace("Hello\n        %s: {}", "Hello there\n        %s: {}")
    assert parse_workflow(steps(changed % ("b", "b", "c"))).code()["b"] != code["b"]


TOOLS = """
import asyncio
import pathlib

def pay(amount: float, note: str = "-") -> float:
    return amount

async def later(amount: float) -> float:
    return amount

def wrong(amount: "Nowhere") -> float:
    return amount

def many(*amounts: float) -> float:
    return 0.0

def bare(amount):
    return amount

def called(amount: "1 / 0") -> float:
    return amount

def typo(amount: "list[") -> float:
    return amount

def absent(amount: "pathlib.Nowhere") -> float:
    return amount

rate = 0.2

def __getattr__(name):
    if name == "computed":
        raise ValueError("not today")
    raise AttributeError(name)
"""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("function: tools_a:pay", "5:22: tools_a:pay needs amount; add to `arguments`"),
        (
            "function: tools_a:pay, arguments: {amuont: 1, amount: 2}",
            "tools_a:pay takes no argument 'amuont'; did you mean 'amount'?",
        ),
        ("function: tools_a:pya", "tools_a.py) has no 'pya'; did you mean 'pay'?"),
        ("function: tools_a:later", "tools_a:later is `async def`; name a plain function"),
        ("function: tools_a:wrong", "an annotation is unknown: name 'Nowhere' is not defined"),
        ("function: tools_a:called", "an annotation is unknown: division by zero; mend the"),
        ("function: tools_a:typo", "an annotation is unknown: Forward reference must be an"),
        ("function: tools_a:absent", "annotation is unknown: module 'pathlib' has no attribute"),
        (
            "function: tools_a:computed",
            "'computed' of module tools_a cannot be read: ValueError: not today; mend it",
        ),
        ("function: tools_a:many", "parameter *amounts: float cannot be passed by name"),
        ("function: tools_a:bare", "tools_a:bare: amount has no annotation; add one to each"),
        ("function: tools_a:rate", "tools_a:rate is a float; name a function written in Python"),
        ("function: tools_c:f", "there is no module 'tools_c'; put it beside the file"),
        ("function: tools_a.x:f", "there is no module 'tools_a.x'"),
        ("function: tools_b:f", "module 'tools_b' cannot be imported: ValueError: two lines; mend"),
        ("function: tools_d:f", "module 'tools_d' cannot be imported: SystemExit: 3; mend it"),
        (
            "function: tools_e:f",
            "module 'tools_e' cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        ),
    ],
)
def test_a_tool_is_checked_before_anything_runs(
    call: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "tools_a": TOOLS,
        "tools_b": "raise ValueError('two\\nlines')\n",
        "tools_d": "raise SystemExit(3)\n",
        "tools_e": "import nowhere\n",
    }.items():
        tmp_path.joinpath(f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert any(said in problem for problem in problems(steps(f"a:\n  tool: {{{call}}}")))


def test_a_module_that_hides_the_one_that_was_meant_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("json.py").write_text("def pay(): ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (problem,) = problems(steps("a: {tool: {function: 'json:pay'}}"))
    assert f"module json ({json.__file__}) has no 'pay'" in problem


def test_a_branch_on_a_name_that_nothing_gives_is_one_problem() -> None:
    (problem,) = problems(steps("a: {branch: {key: x, cases: {y: a}}}"))
    assert "nothing before this place gives 'x'" in problem


def test_no_module_is_imported_for_a_file_with_another_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("tools_never.py").write_text("raise AssertionError\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (problem,) = problems(steps("a: {tool: {function: 'tools_never:f'}, nxet: a}"))
    assert "nxet" in problem
    assert "tools_never" not in sys.modules


def test_the_schema_is_a_copy() -> None:
    changed = workflow_schema()
    changed.clear()
    assert workflow_schema()["title"] == "replayt workflow"


def test_importing_the_loader_does_not_import_pyyaml() -> None:
    """SC-7: it is imported with the first file."""
    code = "import sys, replayt_core.yaml_spec; print('yaml' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert json.loads(done.stdout.lower()) is False
