"""The steps of a workflow file, read into data: what each key may hold, and what excludes what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from replayt_core._templates import Path, Template, TemplateError, parse_path
from replayt_core._yaml_nodes import ListNode, MapNode, Node, TextNode
from replayt_core._yaml_problems import Problems
from replayt_core._yaml_step_specs import (
    ApprovalSpec,
    BranchSpec,
    LLMSpec,
    StepSpec,
    ToolSpec,
    Use,
)
from replayt_core._yaml_types import INPUT_WORDS, OUTPUT_WORDS, TypeSpec, read_fields, read_type
from replayt_core._yaml_values import (
    Tree,
    kind_of,
    read_constant,
    read_name,
    read_number,
    read_template,
    read_text,
    read_tree,
)
from replayt_core.errors import DefinitionError
from replayt_core.workflow import RetryPolicy

STEP_KEYS = ("require", "set", "llm", "tool", "approval", "branch", "next", "retry")
LLM_KEYS = ("prompt", "system", "model", "temperature", "schema", "output_key")
TOOL_KEYS = ("function", "arguments", "output_key")
APPROVAL_KEYS = ("id", "summary", "details", "on_approve", "on_reject")
BRANCH_KEYS = ("key", "cases", "default")
RETRY_KEYS = ("max_attempts", "backoff_seconds")

_MEANT = {
    "transition": "next",
    "transitions": "next",
    "goto": "next",
    "then": "next",
    "to": "next",
    "switch": "branch",
    "requires": "require",
    "expects": "require",
    "retries": "retry",
    "call": "tool",
    "output": "output_key",
    "args": "arguments",
}
_NEVER_MATCHED = ("True", "TRUE", "False", "FALSE", "Null", "NULL", "~", "")


def read_parts(
    node: Node, problems: Problems, what: str, known: tuple[str, ...], needed: Iterable[str] = ()
) -> dict[str, Node]:
    """The values of a mapping by its keys; what is unknown or missing is a problem."""
    if not isinstance(node, MapNode):
        problems.add(node, f"{what} is {kind_of(node)}; write a mapping with {', '.join(known)}")
        return {}
    for key, _ in node.pairs:
        if key.text in known:
            continue
        text = f"unknown key {key.text!r:.80} in {what}"
        meant = _MEANT.get(key.text)
        if meant in known:
            problems.add(key, f"{text}; did you mean {meant!r}?")
        else:
            problems.add_unknown(key, key.text, known, text, f"known are {', '.join(known)}")
    found = {key.text: value for key, value in node.pairs if key.text in known}
    for name in needed:
        if name not in found:
            problems.add(node, f"{what} has no `{name}`; add it")
    return found


class StepReader:
    """Reads one step; collects where it leads and which values it uses on the way."""

    def __init__(self, name: str, problems: Problems) -> None:
        self._name = name
        self._problems = problems
        self._targets: list[tuple[str, Node]] = []
        self._uses: list[Use] = []

    def read(self, key: TextNode, node: Node) -> StepSpec:
        """The step that stands under its key."""
        what = f"step {self._name!r:.80}"
        if isinstance(node, TextNode) and not node.text:
            self._problems.add(node, f"{what} is empty; write {{}} for a step that ends the run")
            parts: dict[str, Node] = {}
        else:
            parts = read_parts(node, self._problems, what, STEP_KEYS)
        self._refuse_rivals(parts, what)
        llm = self._llm(parts["llm"]) if "llm" in parts else None
        tool = self._tool(parts["tool"]) if "tool" in parts else None
        return StepSpec(
            name=self._name,
            node=key,
            last_line=max(key.last_line, node.last_line),
            require=self._require(parts["require"]) if "require" in parts else {},
            constants=self._constants(parts["set"]) if "set" in parts else {},
            llm=llm,
            tool=tool,
            approval=self._approval(parts["approval"]) if "approval" in parts else None,
            branch=self._branch(parts["branch"]) if "branch" in parts else None,
            next=self._target(parts["next"], "`next`") if "next" in parts else None,
            retry=self._retry(parts["retry"]) if "retry" in parts else None,
            targets=tuple(self._targets),
            uses=tuple(self._uses),
        )

    def _refuse_rivals(self, parts: Mapping[str, Node], what: str) -> None:
        for rivals, remedy in (
            (("llm", "tool"), "a step makes one call: split it in two"),
            (("approval", "branch", "next"), "keep one: each says alone where the step leads"),
        ):
            both = [name for name in rivals if name in parts]
            if len(both) > 1:
                self._problems.add(
                    parts[both[1]], f"{what} has {' and '.join(f'`{n}`' for n in both)}; {remedy}"
                )

    def _require(self, node: Node) -> dict[str, TypeSpec | None]:
        problems = self._problems
        if isinstance(node, MapNode):
            found: dict[str, TypeSpec | None] = {}
            for key, value in node.pairs:
                name = read_name(key, problems, "a required key")
                spec = read_type(value, problems, f"{key.text!r:.80}", INPUT_WORDS)
                if spec is not None and spec.optional:
                    problems.add(value, f"{key.text!r:.80} is required and optional; delete one")
                if name is not None:
                    found[name] = spec
            return found
        if isinstance(node, ListNode):
            names = [read_name(item, problems, "a required key") for item in node.items]
            return dict.fromkeys(name for name in names if name is not None)
        problems.add(
            node, f"`require` is {kind_of(node)}; write [key, ...] or a mapping of keys to types"
        )
        return {}

    def _constants(self, node: Node) -> dict[str, JsonValue]:
        if not isinstance(node, MapNode):
            self._problems.add(
                node, f"`set` is {kind_of(node)}; write a mapping of keys to constants"
            )
            return {}
        return {
            name: read_constant(value, self._problems)
            for key, value in node.pairs
            if (name := read_name(key, self._problems, "a key of `set`")) is not None
        }

    def _llm(self, node: Node) -> LLMSpec | None:
        problems = self._problems
        parts = read_parts(node, problems, "`llm`", LLM_KEYS, ("prompt", "output_key"))
        prompt = self._template(parts, "prompt", after_call=False)
        system = self._template(parts, "system", after_call=False)
        model = read_text(parts["model"], problems, "`model`") if "model" in parts else None
        heat = None
        if "temperature" in parts:
            heat = read_number(parts["temperature"], problems, "`temperature`")
            if heat is not None and not 0 <= heat <= 2:
                problems.add(parts["temperature"], f"`temperature` is {heat}; use 0 to 2")
        fields: dict[str, TypeSpec] = {}
        if "schema" in parts:
            fields = read_fields(parts["schema"], problems, "`schema`", OUTPUT_WORDS)
        output = self._output_key(parts)
        if prompt is None or output is None:
            return None
        return LLMSpec(
            prompt=prompt,
            system=system,
            model=model,
            temperature=heat,
            fields=fields,
            output_key=output,
        )

    def _tool(self, node: Node) -> ToolSpec | None:
        problems = self._problems
        parts = read_parts(node, problems, "`tool`", TOOL_KEYS, ("function",))
        arguments: dict[str, Tree] = {}
        nodes: dict[str, Node] = {}
        if "arguments" in parts:
            given = parts["arguments"]
            if not isinstance(given, MapNode):
                problems.add(
                    given, f"`arguments` is {kind_of(given)}; write a mapping of names to values"
                )
            else:
                nodes = {key.text: value for key, value in given.pairs}
                arguments = {
                    name: self._tree(value, after_call=False) for name, value in nodes.items()
                }
        output = self._output_key(parts)
        function = None
        if "function" in parts:
            function = read_text(parts["function"], problems, "`function`")
            module, _, name = (function or "").partition(":")
            if function and not all(part.isidentifier() for part in (*module.split("."), name)):
                problems.add(
                    parts["function"], f"`function` is {function!r:.80}; write module:function"
                )
        if function is None:
            return None
        return ToolSpec(
            function=function,
            arguments=arguments,
            output_key=output,
            node=parts["function"],
            argument_nodes=nodes,
        )

    def _approval(self, node: Node) -> ApprovalSpec | None:
        needed = ("id", "on_approve", "on_reject")
        parts = read_parts(node, self._problems, "`approval`", APPROVAL_KEYS, needed)
        name = read_text(parts["id"], self._problems, "`id`") if "id" in parts else None
        summary = self._template(parts, "summary", after_call=True)
        details = self._tree(parts["details"], after_call=True) if "details" in parts else None
        routes = [
            self._target(parts[key], f"`{key}`") if key in parts else None for key in needed[1:]
        ]
        if name is None or routes[0] is None or routes[1] is None:
            return None
        return ApprovalSpec(
            id=name,
            summary=summary or Template(()),
            details=details,
            on_approve=routes[0],
            on_reject=routes[1],
        )

    def _branch(self, node: Node) -> BranchSpec | None:
        problems = self._problems
        parts = read_parts(node, problems, "`branch`", BRANCH_KEYS, ("key", "cases"))
        path: Path | None = None
        text = read_text(parts["key"], problems, "`key`") if "key" in parts else None
        if text is not None:
            try:
                path = parse_path(text)
            except TemplateError:
                problems.add(parts["key"], f"`key` is {text!r:.80}; write name or name.field")
            else:
                self._uses.append(Use(path=path, node=parts["key"], after_call=True))
        cases: dict[str, str] = {}
        nodes: dict[str, Node] = {}
        given = parts.get("cases")
        if given is not None and (not isinstance(given, MapNode) or not given.pairs):
            problems.add(given, f"`cases` is {kind_of(given)}; write a mapping of values to states")
        for key, value in given.pairs if isinstance(given, MapNode) else ():
            target = self._target(value, f"the case {key.text!r:.80}")
            if key.plain and key.text in _NEVER_MATCHED:
                problems.add(
                    key,
                    f"the case {key.text!r} matches nothing; write true, false or null, or "
                    "quote a text",
                )
            elif target is not None:
                cases[key.text] = target
                nodes[key.text] = key
        default = self._target(parts["default"], "`default`") if "default" in parts else None
        if path is None or not cases:
            return None
        return BranchSpec(path=path, cases=cases, default=default, node=node, case_nodes=nodes)

    def _retry(self, node: Node) -> RetryPolicy | None:
        parts = read_parts(node, self._problems, "`retry`", RETRY_KEYS)
        values = {
            name: read_number(value, self._problems, f"`{name}`") for name, value in parts.items()
        }
        try:
            return RetryPolicy(
                **{name: value for name, value in values.items() if value is not None}  # type: ignore[arg-type]  # it checks them itself
            )
        except DefinitionError as error:
            self._problems.add(node, str(error).replace("RetryPolicy", "`retry`"))
            return None

    def _target(self, node: Node, what: str) -> str | None:
        name = read_text(node, self._problems, what)
        if name is not None:
            self._targets.append((name, node))
        return name

    def _output_key(self, parts: Mapping[str, Node]) -> str | None:
        if "output_key" not in parts:
            return None
        return read_name(parts["output_key"], self._problems, "`output_key`")

    def _template(
        self, parts: Mapping[str, Node], name: str, *, after_call: bool
    ) -> Template | None:
        if name not in parts:
            return None
        template = read_template(parts[name], self._problems, f"`{name}`")
        self._note_uses(template, parts[name], after_call=after_call)
        return template

    def _tree(self, node: Node, *, after_call: bool) -> Tree:
        tree = read_tree(node, self._problems)
        self._note_uses(tree, node, after_call=after_call)
        return tree

    def _note_uses(self, tree: Tree, node: Node, *, after_call: bool) -> None:
        if isinstance(tree, Template):
            self._uses += [Use(path=p, node=node, after_call=after_call) for p in tree.paths]
        elif isinstance(tree, dict) and isinstance(node, MapNode):
            for key, value in node.pairs:
                self._note_uses(tree[key.text], value, after_call=after_call)
        elif isinstance(tree, list) and isinstance(node, ListNode):
            for item, value in zip(tree, node.items, strict=True):
                self._note_uses(item, value, after_call=after_call)
