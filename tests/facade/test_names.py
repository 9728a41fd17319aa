"""The short names: they exist, and they are the objects of the packages that define them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from types import ModuleType

import pytest

import replayt
import replayt.llm
import replayt.persistence
import replayt.testing
import replayt.tools
import replayt.yaml
import replayt_core
import replayt_core.ports
import replayt_core.testing
import replayt_core.yaml_spec
import replayt_llm
import replayt_store

FACADES = {
    replayt: (replayt_core, replayt_core.testing),
    replayt.llm: (replayt_llm, replayt_core.ports, replayt_core),
    replayt.persistence: (replayt_store, replayt_core.ports, replayt_core),
    replayt.testing: (replayt_core.testing,),
    replayt.tools: (replayt_core,),
    replayt.yaml: (replayt_core.yaml_spec,),
}
each_facade = pytest.mark.parametrize("facade", FACADES, ids=lambda module: module.__name__)


def test_the_names_of_the_first_line_of_every_workflow() -> None:
    """SC-13 to SC-16."""
    for module, names in {
        "replayt": ["LogMode", "Runner", "Workflow"],
        "replayt.persistence": ["EventStore", "JSONLStore", "MultiStore", "SQLiteStore"],
        "replayt.llm": ["LLMSettings"],
        "replayt.testing": ["MockLLMClient", "run_with_mock"],
    }.items():
        for name in names:
            assert getattr(importlib.import_module(module), name), f"{module}.{name}"
    assert replayt.Runner is replayt_core.Runner


def test_the_names_that_users_of_0_2_import_from_the_top() -> None:
    """SC-17. `resolve` is the public way to answer an approval on a store."""
    expected = {
        "ApprovalPending",
        "ContextSchemaError",
        "ReplaytError",
        "RetryPolicy",
        "RunContext",
        "RunFailed",
        "RunResult",
        "assert_events",
        "resolve",
    }
    assert expected <= set(replayt.__all__)


@each_facade
def test_every_name_is_the_object_of_the_package_that_defines_it(facade: ModuleType) -> None:
    assert facade.__all__, facade.__name__
    for name in facade.__all__:
        origins = [module for module in FACADES[facade] if name in module.__all__]
        assert origins, f"{facade.__name__}.{name} is no public name of the packages below"
        assert getattr(facade, name) is getattr(origins[0], name), name


@each_facade
def test_all_lists_every_public_name(facade: ModuleType) -> None:
    modules = {"aio", "examples", "llm", "persistence", "testing", "tools", "yaml"}
    modules = modules if facade is replayt else set()
    # "@": pytest rewrites the modules of a package that brings a plugin.
    public = {name for name in vars(facade) if not name.startswith(("_", "@"))} - modules
    assert public == set(facade.__all__)
    assert len(facade.__all__) == len(set(facade.__all__))


def test_every_error_of_the_core_can_be_caught_by_its_short_name() -> None:
    errors = {
        name
        for name in replayt_core.__all__
        if isinstance(value := getattr(replayt_core, name), type)
        and issubclass(value, BaseException)
    }
    assert errors <= set(replayt.__all__)


def test_importing_replayt_loads_neither_http_nor_the_command_line() -> None:
    """Plain imports only, and still light: whoever imports `replayt` pays for the core alone."""
    code = "import json, sys, replayt; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    roots = {name.partition(".")[0] for name in json.loads(done.stdout)}
    heavy = {"duckdb", "httpx", "jinja2", "pytest", "rich", "typer", "yaml"}
    siblings = {"replayt_cli", "replayt_llm", "replayt_store"}
    assert not roots & (heavy | siblings)


def test_the_async_runner_has_a_module_of_its_own() -> None:
    """Importing `replayt` stays light: asyncio comes with `replayt.aio` alone."""
    from replayt import aio

    assert aio.AsyncRunner is replayt_core.AsyncRunner
    assert aio.AsyncRunContext is replayt.AsyncRunContext
