"""The steps of a workflow file as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from replayt_core._templates import Path, Template
from replayt_core._yaml_nodes import Node, TextNode
from replayt_core._yaml_types import TypeSpec
from replayt_core._yaml_values import Tree
from replayt_core.workflow import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMSpec:
    """A model call: its reply goes to `output_key`, as text where no fields are declared."""

    prompt: Template
    system: Template | None = None
    model: str | None = None
    temperature: float | None = None
    fields: Mapping[str, TypeSpec] = field(default_factory=dict)
    output_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A call of a Python function."""

    function: str
    arguments: Mapping[str, Tree]
    output_key: str | None
    node: Node
    argument_nodes: Mapping[str, Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSpec:
    """A question to a person, with a state for each answer."""

    id: str
    summary: Template
    details: Tree
    on_approve: str
    on_reject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchSpec:
    """A choice by a value of the context."""

    path: Path
    cases: Mapping[str, str]
    default: str | None
    node: Node
    case_nodes: Mapping[str, Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A value that a step uses, where it says so, and whether its own call's output counts."""

    path: Path
    node: Node
    after_call: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step as it was declared."""

    name: str
    node: TextNode
    last_line: int
    require: Mapping[str, TypeSpec | None]
    constants: Mapping[str, JsonValue]
    llm: LLMSpec | None
    tool: ToolSpec | None
    approval: ApprovalSpec | None
    branch: BranchSpec | None
    next: str | None
    retry: RetryPolicy | None
    targets: tuple[tuple[str, Node], ...]
    uses: tuple[Use, ...]

    @property
    def gives(self) -> dict[str, TypeSpec | None]:
        """The context keys that are there once the step is over, with what is known of each."""
        given: dict[str, TypeSpec | None] = {**self.require, **dict.fromkeys(self.constants)}
        return {**given, **self.output}

    @property
    def output(self) -> dict[str, TypeSpec | None]:
        """The key that its call fills."""
        if self.llm is not None:
            fields = self.llm.fields
            kind = TypeSpec(kind="object", fields=fields) if fields else TypeSpec(kind="string")
            return {self.llm.output_key: kind}
        if self.tool is not None and self.tool.output_key is not None:
            return {self.tool.output_key: None}
        return {}
