"""docs/migration.md: the names that stay and the new places are there, what is gone is gone."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import typer

from replayt import Runner, Workflow
from replayt.llm import LLMSettings
from replayt_cli.main import application, commands, groups
from replayt_cli.project.config import KEYS
from tests.workspace.helpers import ROOT

PAGE = (ROOT / "docs/migration.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    found = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert found, f"the page has no {heading}"
    return found


def resolved(dotted: str) -> Any:
    """What a dotted name of the page stands for, be it a module or something in one."""
    try:
        return import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return getattr(import_module(module), name)


def test_what_works_as_it_stands_can_be_imported() -> None:
    bullets = re.split(r"\n- ", section("What works as it stands"))
    imported = 0
    for bullet in bullets:
        named = re.match(r"`from (replayt) import` of |`(replayt\.\w+)`: ", bullet)
        if named is None:
            continue
        module = import_module(named[1] or named[2])
        for name in re.findall(r"`([A-Za-z_]+)`", bullet[named.end() :].partition(" with ")[0]):
            assert hasattr(module, name), f"{module.__name__}.{name}"
            imported += 1
    assert imported > 15
    assert callable(LLMSettings.for_provider)
    assert callable(LLMSettings.from_env)


def test_what_has_moved_is_where_the_page_says() -> None:
    rows = re.findall(r"^\| (`replayt\..+) \| (.+) \|$", section("What has moved"), re.MULTILINE)
    assert len(rows) >= 6
    for then, now in rows:
        places = [resolved(name) for name in re.findall(r"`(replayt(?:\.\w+)*)", now)]
        assert places, now
        for name in re.findall(r"`replayt\.(\w+)(?:\(|`)", then):
            module = name in ("types", "exceptions", "workflow", "runner", "graph_export")
            assert module or not hasattr(import_module("replayt"), name), name


def test_arguments_that_are_gone_are_gone() -> None:
    gone = section("What has moved")
    runner, workflow = inspect.signature(Runner).parameters, inspect.signature(Workflow).parameters
    settings = inspect.signature(LLMSettings).parameters
    for name in ("include_tracebacks", "before_step", "after_step", "policy_hooks"):
        assert name in gone
        assert name not in runner
    assert not {"meta", "llm_defaults"} & set(workflow)
    for name in ("top_p", "stop", "frequency_penalty", "presence_penalty", "extra_body"):
        assert f"`{name}`" in gone
        assert name not in settings
    assert "max_retries" in settings


def test_commands_and_options_that_are_gone_are_gone_and_the_others_are_there() -> None:
    group: Any = typer.main.get_command(application(commands(), groups()))
    options = {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    rows = re.findall(
        r"^\| (.+) \| (.+) \|$", section("The command line").partition("| Gone |")[2], re.M
    )
    assert len(rows) > 10
    for then, now in rows[1:]:
        for words in re.findall(r"`([^`]+)`", then):
            command, *flags = words.split()
            if command.startswith("--"):
                assert command not in options, command
            elif not flags:
                assert command not in group.commands, command
            else:
                had = {opt for p in group.commands[command].params for opt in p.opts}
                assert flags[0] not in had, words
        for words in re.findall(r"`([a-z]+)(?: [^`]*)?`", now):
            assert words in group.commands, words
        for option in re.findall(r"`[a-z ]*(--[a-z-]+)", now):
            assert option in {*options, "--version"}, option


def test_the_keys_that_stay_are_known() -> None:
    stay = re.findall(r"`(\w+)`", section("Configuration and environment").partition("two more")[0])
    assert {"log_dir", "provider", "model"} <= set(stay)
    assert set(stay) - {"tool", "replayt"} <= set(KEYS)
    assert set(KEYS) - set(stay) == {"store", "prices"}
