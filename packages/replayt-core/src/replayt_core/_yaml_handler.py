"""The handler of a step that was declared in a file. It does what a handler in Python would do."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, JsonValue

from replayt_core._source import HandlerSource
from replayt_core._templates import Path, Template, as_text
from replayt_core._yaml_problems import listed
from replayt_core._yaml_step_specs import ApprovalSpec, BranchSpec, LLMSpec, StepSpec, ToolSpec
from replayt_core._yaml_types import make_model
from replayt_core._yaml_values import Tree
from replayt_core.context import AsyncRunContext, RunContext
from replayt_core.errors import ContextSchemaError
from replayt_core.ports.llm import Message
from replayt_core.tools import make_tool

AnyContext = RunContext | AsyncRunContext

_ABSENT: Any = object()


class StepHandler:
    """Sets constants, makes the one call, and says where the step leads, in that order.

    For `AsyncRunner` the call is awaited.
    """

    def __init__(
        self, spec: StepSpec, source: HandlerSource, tool: Callable[..., Any] | None
    ) -> None:
        self._spec = spec
        self._tool = tool
        self.__replayt_source__ = source

    def __call__(self, ctx: AnyContext) -> Any:
        for key, value in self._spec.constants.items():
            ctx.set(key, value)
        result = self._call(ctx)
        if inspect.isawaitable(result):
            return self._finish_later(ctx, result)
        return self._finish(ctx, result)

    async def _finish_later(self, ctx: AnyContext, result: Awaitable[Any]) -> str | None:
        return self._finish(ctx, await result)

    def _finish(self, ctx: AnyContext, result: Any) -> str | None:
        for key in self._spec.output:
            ctx.set(key, result)
        if self._spec.approval is not None:
            return self._ask(ctx, self._spec.approval)
        if self._spec.branch is not None:
            return self._choose(ctx, self._spec.branch)
        return self._spec.next

    def _call(self, ctx: AnyContext) -> Any:
        if self._spec.llm is not None:
            return self._ask_model(ctx, self._spec.llm)
        if self._spec.tool is not None and self._tool is not None:
            return self._use_tool(ctx, self._spec.tool, self._tool)
        return None

    def _ask_model(self, ctx: AnyContext, llm: LLMSpec) -> Any:
        messages: list[Message] = []
        if llm.system is not None:
            messages.append({"role": "system", "content": self._text(ctx, llm.system)})
        messages.append({"role": "user", "content": self._text(ctx, llm.prompt)})
        bridge = ctx.llm.with_settings(model=llm.model, temperature=llm.temperature)
        if self._model is None:
            return bridge.complete_text(messages=messages)
        return bridge.parse(self._model, messages=messages)

    @cached_property
    def _model(self) -> type[BaseModel] | None:
        llm = self._spec.llm
        return make_model(llm.output_key, llm.fields) if llm is not None and llm.fields else None

    def _use_tool(self, ctx: AnyContext, tool: ToolSpec, function: Callable[..., Any]) -> Any:
        arguments = {name: self._filled(ctx, tree) for name, tree in tool.arguments.items()}
        ctx.tools.register(function)
        return ctx.tools.call(make_tool(function).name, arguments)

    def _ask(self, ctx: AnyContext, approval: ApprovalSpec) -> str:
        approved = ctx.request_approval(
            approval.id,
            summary=self._text(ctx, approval.summary),
            details=self._filled(ctx, approval.details),
            on_approve=approval.on_approve,
            on_reject=approval.on_reject,
        )
        return approval.on_approve if approved else approval.on_reject

    def _choose(self, ctx: AnyContext, branch: BranchSpec) -> str:
        value = self._look_up(ctx, branch.path)
        shown = ".".join(branch.path)
        if isinstance(value, dict | list):
            raise self._misfit(f"branch on {shown!r}: it is {_kind(value)}; name a field of it")
        target = branch.cases.get(as_text(value), branch.default)
        if target is None:
            raise self._misfit(
                f"branch on {shown!r}: its value is none of {listed(branch.cases)}; add a case or "
                "a `default`"
            )
        return target

    def _text(self, ctx: AnyContext, template: Template) -> str:
        return template.text(lambda path: self._look_up(ctx, path))

    def _filled(self, ctx: AnyContext, tree: Tree) -> JsonValue:
        """The JSON value of a tree with its templates filled in."""
        if isinstance(tree, Template):
            return tree.value(lambda path: self._look_up(ctx, path))
        if isinstance(tree, dict):
            return {name: self._filled(ctx, item) for name, item in tree.items()}
        if isinstance(tree, list):
            return [self._filled(ctx, item) for item in tree]
        return tree

    def _look_up(self, ctx: AnyContext, path: Path) -> JsonValue:
        key, *fields = path
        value = ctx.get(key, _ABSENT)
        if value is _ABSENT:
            raise self._misfit(
                f"key {key!r} is missing; set it in an earlier step or pass it in the inputs"
            )
        seen = key
        for name in fields:
            if not isinstance(value, dict):
                raise self._misfit(f"{seen!r} is {_kind(value)}, so it has no field {name!r}")
            if name not in value:
                raise self._misfit(f"{seen!r} has no field {name!r}")
            value, seen = value[name], f"{seen}.{name}"
        found: JsonValue = value
        return found

    def _misfit(self, text: str) -> ContextSchemaError:
        place = self.__replayt_source__.place
        return ContextSchemaError(
            f"context schema violation in step {self._spec.name!r} ({place}): {text}"
        )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
