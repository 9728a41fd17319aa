"""Issue 7: everything public is documented, and the code says what there is.

Names, commands and flags are on generated pages too (`test_generated_docs`); here only the code and
the text of the pages are compared, so a generator that forgot something would be noticed.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

from replayt_cli import exit_codes
from replayt_cli.project.config import KEYS, Config
from replayt_core import AsyncRunContext, LogMode, RunContext
from replayt_core.payloads import PAYLOADS
from tests.workspace.helpers import MEMBERS, ROOT

GENERATED = ("docs/api.md", "docs/cli.md")
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


@cache
def pages() -> dict[str, str]:
    """The text of every page that people read: the README, docs, those of packages and examples."""
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "packages").rglob("*.md")]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in found
        if path.name != "CHANGELOG.md" and "templates" not in path.parts
    }


@cache
def code_on_pages() -> str:
    """What stands between backticks, in blocks and in lines: where names are shown as names."""
    return "\n".join(
        part
        for text in pages().values()
        for part in re.findall(r"^```.*?^```$|`[^`\n]+`", text, flags=re.MULTILINE | re.DOTALL)
    )


def is_shown(name: str, where: str) -> bool:
    """Whether a name stands there whole."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", where) is not None


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the packages and its syntax tree, but for the bundled examples."""
    for member in MEMBERS.values():
        for path in member.modules():
            if "examples" not in path.parts:
                name = path.relative_to(member.source.parent).as_posix()
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def public_names(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def test_every_public_name_is_on_a_page() -> None:
    found = {name for module, tree in sources() for name in public_names(tree)}
    assert len(found) > 150
    missing = sorted(name for name in found if not is_shown(name, code_on_pages()))
    assert not missing, "run python tools/gen_api_docs.py"


@pytest.mark.parametrize("context", [RunContext, AsyncRunContext])
def test_everything_a_handler_can_use_is_on_a_page(context: type) -> None:
    found = [name for name in dir(context) if not name.startswith("_")]
    assert {"llm", "tools", "because", "request_approval", "idempotency_key"} <= set(found)
    prose = "\n".join(text for page, text in pages().items() if page not in GENERATED)
    missing = [name for name in found if f"ctx.{name}" not in prose and name not in ("run_id",)]
    missing = [name for name in missing if not re.search(rf"`{name}\b", pages()["docs/api.md"])]
    assert not missing


def test_every_event_type_has_its_section() -> None:
    page = pages()["docs/RUN_LOG_SCHEMA.md"]
    assert [kind for kind in PAYLOADS if f"\n### {kind}\n" not in page] == []


def test_every_field_of_an_event_has_its_row() -> None:
    page = pages()["docs/RUN_LOG_SCHEMA.md"]
    for kind, payload in PAYLOADS.items():
        section = page.partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
        rows = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
        assert rows == set(payload.__annotations__), kind


def test_every_log_mode_is_explained() -> None:
    page = pages()["docs/logs-and-secrets.md"]
    assert [mode.value for mode in LogMode if f"`{mode.value}`" not in page] == []


def test_every_key_of_the_configuration_has_its_row() -> None:
    assert set(KEYS) == {field.name for field in fields(Config)} - {"file"}
    page = pages()["docs/configuration.md"]
    assert [key for key in KEYS if f"\n| `{key}` |" not in page] == []


def test_every_exit_code_is_on_the_page_of_the_command_line() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and name[0] != "_"}
    assert {0, 1, 2, 64, 75} <= codes
    page = pages()["docs/cli.md"]
    shown = re.findall(r"^\| (\d+)(?:\+n)? \|", page, flags=re.MULTILINE)
    assert sorted(map(int, shown)) == sorted(codes)


def environment_variables() -> dict[str, set[str]]:
    """The variables that the code reads, and the modules that name them.

    A text in capitals with an underscore is one, unless it is a public constant, what an option's
    value is called, a constant of `os` or an opcode of regular expressions; so is what is taken
    from a mapping that is called an environment. Those between a shell's completion script and the
    command begin with an underscore and are nobody else's.
    """
    found: dict[str, set[str]] = {}
    other: set[str] = set(dir(os))
    for module, tree in sources():
        other.update(public_names(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "metavar":
                other.update(re.findall(r"[A-Z_]+", ast.unparse(node.value)))
            if name := _taken_from_environment(node):
                found.setdefault(name, set()).add(module)
            elif _looks_like_one(node) and not module.endswith("_pattern.py"):
                found.setdefault(node.value, set()).add(module)
    return {name: where for name, where in found.items() if name not in other}


def _looks_like_one(node: ast.AST) -> TypeGuard[ast.Constant]:
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return False
    return VARIABLE.fullmatch(node.value) is not None


def _taken_from_environment(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        taken, key = node.func.value, node.args[0]
        if node.func.attr not in ("get", "getenv", "pop"):
            return None
    elif isinstance(node, ast.Subscript):
        taken, key = node.value, node.slice
    else:
        return None
    named = re.search(r"\benv(iron)?\b", ast.unparse(taken))
    if named and isinstance(key, ast.Constant) and isinstance(key.value, str):
        return key.value
    return None


def test_every_environment_variable_is_documented() -> None:
    found = environment_variables()
    assert {"REPLAYT_MODEL", "OPENAI_API_KEY", "GROQ_API_KEY", "NO_COLOR", "SSL_CERT_FILE"} <= set(
        found
    )
    missing = {name: sorted(where) for name, where in found.items() if not in_backticks(name)}
    assert not missing, "docs/configuration.md has the table"


def in_backticks(name: str) -> bool:
    return is_shown(name, code_on_pages())


def test_no_page_names_a_variable_of_ours_that_nobody_reads() -> None:
    """`migration.md` names those of others."""
    found = set(environment_variables())
    named = {
        name: page
        for page, text in pages().items()
        if page != "docs/migration.md"
        for name in re.findall(r"\bREPLAYT_[A-Z_]+\b", text)
    }
    assert {name: page for name, page in named.items() if name not in found} == {}


def test_pages_link_to_each_other_from_the_index() -> None:
    index = pages()["docs/README.md"]
    there = {Path(page).name for page in pages() if page.startswith("docs/")} - {"README.md"}
    assert [page for page in sorted(there) if f"({page})" not in index] == []
