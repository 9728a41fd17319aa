"""Workflows as YAML files: `load_workflow` makes a `Workflow` of one.

The format is in docs/yaml-workflows.md. The loader is strict: what it does not know, or what could
be read in two ways, is an error with file, line, column and remedy, and all are told at once.
A file that names tools is code: their modules are imported. Needs PyYAML, the extra `yaml`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from replayt_core._error_info import shown_path
from replayt_core._source import HandlerSource
from replayt_core._yaml_handler import StepHandler
from replayt_core._yaml_names import check_names
from replayt_core._yaml_nodes import (
    MAX_BYTES,
    ListNode,
    MapNode,
    Node,
    TextNode,
    decode,
    parse_nodes,
)
from replayt_core._yaml_problems import Problems
from replayt_core._yaml_step_specs import StepSpec
from replayt_core._yaml_steps import StepReader, read_parts
from replayt_core._yaml_tools import load_tool
from replayt_core._yaml_types import python_type
from replayt_core._yaml_values import kind_of, read_text
from replayt_core.errors import WorkflowFileError
from replayt_core.workflow import Workflow

__all__ = ["load_workflow", "parse_workflow", "workflow_schema"]

FILE_KEYS = ("name", "version", "initial", "steps", "edges")
MAX_STEPS = 500

_LINE_ENDS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_SCHEMA = Path(__file__).with_name("workflow.schema.json")


def load_workflow(path: str | bytes | os.PathLike[str]) -> Workflow:
    """The workflow that a YAML file declares. Modules of its tools are imported as Python does.

    Raises `WorkflowFileError` with every problem of the file, or where PyYAML is missing.
    """
    name = os.fsdecode(path)
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise WorkflowFileError(f"{name}: cannot be read: {why}; check the path") from None
    return parse_workflow(data, source=name)


def parse_workflow(text: str | bytes, *, source: str = "<text>") -> Workflow:
    """The workflow that a YAML text declares; `source` is what errors call it.

    Raises `WorkflowFileError` as `load_workflow` does.
    """
    problems = Problems(source)
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    decoded = decode(data, problems)
    spec = _read(parse_nodes(decoded, problems), problems)
    lines, place = _LINE_ENDS.split(decoded), shown_path(source)
    tools = {
        step.name: load_tool(step.tool, problems)
        for step in spec.steps.values()
        if step.tool is not None
    }
    problems.check()
    return _built(spec, lines, place, tools)


def workflow_schema() -> dict[str, JsonValue]:
    """The JSON Schema of the format, for editors; a copy."""
    return cast("dict[str, JsonValue]", json.loads(_SCHEMA.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileSpec:
    """A workflow file as data; every target and name in it has been checked."""

    name: str
    version: str
    initial: str
    steps: Mapping[str, StepSpec]
    edges: tuple[tuple[str, str], ...]


def _read(root: Node, problems: Problems) -> _FileSpec:
    if not isinstance(root, MapNode):
        problems.stop(
            root.line,
            root.column,
            f"the file holds {kind_of(root)}; write a mapping with name, initial and steps",
        )
    parts = read_parts(root, problems, "the file", FILE_KEYS, ("name", "initial", "steps"))
    name = read_text(parts["name"], problems, "`name`") if "name" in parts else None
    version: str | None = "1"
    if "version" in parts:
        version = read_text(parts["version"], problems, "`version`")
    initial = read_text(parts["initial"], problems, "`initial`") if "initial" in parts else None
    steps = _read_steps(parts["steps"], problems) if "steps" in parts else {}
    if steps:
        if initial is not None:
            _check_state(initial, parts["initial"], steps, "`initial` names", problems)
        for step in steps.values():
            for target, node in step.targets:
                _check_state(target, node, steps, f"step {step.name!r:.80} leads to", problems)
    edges = _read_edges(parts["edges"], steps, problems) if "edges" in parts else ()
    problems.check()
    spec = _FileSpec(
        name=name or "", version=version or "", initial=initial or "", steps=steps, edges=edges
    )
    check_names(spec.steps, spec.initial, problems)
    problems.check()
    return spec


def _read_steps(node: Node, problems: Problems) -> dict[str, StepSpec]:
    if not isinstance(node, MapNode) or not node.pairs:
        problems.add(node, f"`steps` is {kind_of(node)}; write a mapping of names to steps")
        return {}
    if len(node.pairs) > MAX_STEPS:
        problems.stop(
            node.line, node.column, f"`steps` has more than {MAX_STEPS} steps; split the workflow"
        )
    found: dict[str, StepSpec] = {}
    for key, value in node.pairs:
        name = read_text(key, problems, "the name of a step")
        if name is not None:
            found[name] = StepReader(name, problems).read(key, value)
    return found


def _read_edges(
    node: Node, steps: Mapping[str, StepSpec], problems: Problems
) -> tuple[tuple[str, str], ...]:
    if not isinstance(node, ListNode):
        problems.add(node, f"`edges` is {kind_of(node)}; write a list of [from, to]")
        return ()
    found: list[tuple[str, str]] = []
    for item in node.items:
        ends = item.items if isinstance(item, ListNode) else ()
        names = [end.text for end in ends if isinstance(end, TextNode)]
        if len(names) != len(ends) or len(ends) != 2:
            problems.add(item, "this is no edge; write [from, to]")
            continue
        for name, end in zip(names, ends, strict=True):
            _check_state(name, end, steps, "the edge names", problems)
        found.append((names[0], names[1]))
    return tuple(found)


def _check_state(
    name: str, node: Node, steps: Mapping[str, StepSpec], what: str, problems: Problems
) -> None:
    if name not in steps:
        problems.add_unknown(
            node, name, steps, f"{what} {name!r:.80}, which is no step", "declare it under `steps`"
        )


def _built(
    spec: _FileSpec,
    lines: list[str],
    place: str,
    tools: Mapping[str, Callable[..., Any] | None],
) -> Workflow:
    workflow = Workflow(spec.name, spec.version)
    workflow.set_initial(spec.initial)
    for step in spec.steps.values():
        text = "\n".join(lines[step.node.line - 1 : step.last_line]).rstrip() + "\n"
        source = HandlerSource(text, f"{place}:{step.node.line}")
        workflow.step(
            step.name,
            to=list(dict.fromkeys(target for target, _ in step.targets)),
            retries=step.retry,
            expects={
                key: Any if kind is None else python_type(kind, f"{step.name}_{key}")
                for key, kind in step.require.items()
            },
        )(StepHandler(step, source, tools.get(step.name)))
    for edge in spec.edges:
        workflow.note_transition(*edge)
    return workflow
