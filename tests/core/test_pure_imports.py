"""The core brings pydantic and nobody else, and its machine is pure (SC-3, SC-7, SC-198)."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import replayt_core
import replayt_core.ports

SIBLINGS = {"replayt", "replayt_llm", "replayt_store", "replayt_cli"}
FOREIGN = {"httpx", "yaml", "duckdb", "typer", "rich", "jinja2", "click", "requests"}
PURE = ["_call_rows", "_fold", "_machine", "_moves", "_outcome", "_summary", "records"]
IMPURE = {
    "asyncio",
    "datetime",
    "io",
    "logging",
    "os",
    "pathlib",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}


def package() -> Path:
    spec = importlib.util.find_spec("replayt_core")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh process has after a statement, beyond pydantic's own."""
    program = (
        "import sys, pydantic\n"
        "from pydantic import BaseModel, TypeAdapter, JsonValue\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print('\\n'.join(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def imported_names(path: Path) -> set[str]:
    """The top-level modules that a file names in its imports, wherever they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_importing_the_core_brings_pydantic_and_no_sibling_or_heavy_module() -> None:
    """SC-3: and few modules of the standard library beyond what pydantic has."""
    loaded = loaded_by(
        "import replayt_core\n"
        "for name in replayt_core.__all__:\n"
        "    name == 'AsyncRunner' or getattr(replayt_core, name)"
    )
    tops = {name.partition(".")[0] for name in loaded}
    assert not tops & (SIBLINGS | FOREIGN)
    assert "asyncio" not in tops  # it would double the time that plain functions take to start
    assert not {"http", "socket", "ssl", "sqlite3", "unittest", "pytest"} & tops
    own = {name for name in loaded if name.partition(".")[0] == "replayt_core"}
    assert "replayt_core.testing" not in own
    assert len(loaded - own) < 80


def test_a_name_of_the_core_is_imported_when_it_is_asked_for() -> None:
    """What only reads logs imports neither the engine nor the model bridge."""
    assert {name for name in loaded_by("import replayt_core") if "replayt" in name} == {
        "replayt_core",
        "replayt_core._on_demand",
    }
    reading = loaded_by(
        "from replayt_core import DamagedLogError, Event, RunState, RunSummary, apply, summarize"
    )
    own = {name.split(".")[1] for name in reading if name.startswith("replayt_core.")}
    assert own == {
        *("_fold", "_moves", "_on_demand", "_summary"),
        *("budget", "chain", "errors", "events", "payloads"),
    }
    assert "pydantic" not in loaded_by("from replayt_core.ports import EventStore, SystemClock")


@pytest.mark.parametrize("public", [replayt_core, replayt_core.ports], ids=lambda it: it.__name__)
def test_every_public_name_is_there_and_is_the_one_of_its_module(public: ModuleType) -> None:
    assert len(public.__all__) == len(set(public.__all__))
    assert set(public.__all__) <= set(dir(public))
    seen_by_type_checkers = {
        alias.name: node.module
        for node in ast.walk(ast.parse(Path(str(public.__file__)).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("replayt_core.")
        for alias in node.names
        if alias.name != "on_demand"
    }
    assert set(seen_by_type_checkers) == set(public.__all__)
    for name, module in seen_by_type_checkers.items():
        found = getattr(public, name)
        assert found is getattr(importlib.import_module(str(module)), name), name


def test_a_public_module_of_the_core_is_an_attribute_of_it() -> None:
    """`import replayt_core` is enough for `replayt_core.errors.LLMError`, as type checkers say."""
    for name in ("budget", "context", "errors", "events", "tools", "verification", "workflow"):
        assert f"replayt_core.{name}" in loaded_by(f"import replayt_core\nreplayt_core.{name}")


def test_a_name_that_the_core_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Agent'"):
        replayt_core.Agent  # noqa: B018 looking it up is what is tested
    with pytest.raises(ImportError):
        importlib.import_module("replayt_core.verify")  # the function's name, no module's


def test_the_test_kit_needs_no_test_framework_to_be_imported() -> None:
    """SC-16: `replayt_core.testing` is a product, used at run time too."""
    tops = {name.partition(".")[0] for name in loaded_by("import replayt_core.testing")}
    assert not tops & (SIBLINGS | FOREIGN | {"hypothesis", "pytest"})


def test_no_module_of_the_core_names_a_sibling_or_a_foreign_library() -> None:
    """SC-3, DESIGN 1: core names no sibling; yaml is imported lazily by the YAML loader alone."""
    for path in package().rglob("*.py"):
        tops = {name.partition(".")[0] for name in imported_names(path)}
        allowed = {"yaml"} if path.name == "_yaml_nodes.py" else set()
        assert not tops & (SIBLINGS | FOREIGN) - allowed, path.name


@pytest.mark.parametrize("module", PURE)
def test_the_machine_and_the_fold_import_no_clock_file_environment_or_network(module: str) -> None:
    """DESIGN 2: a pure machine."""
    names = imported_names(package() / f"{module}.py")
    assert not {name.partition(".")[0] for name in names} & IMPURE


def test_the_package_says_that_it_is_typed() -> None:
    """SC-9."""
    assert (package() / "py.typed").is_file()


def test_the_core_stays_readable() -> None:
    """SC-198: modules of one thing each."""
    for path in package().rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 450, path.name
