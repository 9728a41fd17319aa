"""Write the tables of docs/api.md from `__all__` of the public modules and from their docstrings.

Usage: python tools/gen_api_docs.py [--check]

With `--check` nothing is written; exit code 1 when the page is not what the packages say. Texts are
read from the source: of a class or function its first paragraph, of a constant the string below it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from generated_pages import ROOT, cell, filled, write_or_check

from replayt_llm import PRESETS

PAGE = ROOT / "docs/api.md"
PACKAGES = ("replayt_core", "replayt_llm", "replayt_store", "replayt_cli")
FACADE = "replayt"
OPENED = {
    "Workflow": "Workflow",
    "Runner": "Runner",
    "RunContext": "RunContext, the `ctx` of a handler",
    "RunResult": "RunResult",
    "Verification": "Verification",
    "MockLLMClient": "MockLLMClient",
    "LLMSettings": "LLMSettings",
    "Analytics": "Analytics",
}
"""Classes whose members are shown too, and their headings; all protocols of the ports are."""
BEHIND_CTX = {
    "ctx.llm": ("replayt_core._llm_bridge", "LLMBridge"),
    "ctx.tools": ("replayt_core._tool_calls", "ToolBox"),
}
"""What stands behind `ctx`: classes that nobody makes, and so nobody imports."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where a name is defined, and the text there."""

    module: str
    text: str
    node: ast.stmt


@cache
def sources() -> dict[str, Path]:
    """Every module of the packages and its file; the examples are no part of what is public."""
    found = {}
    for package in (*PACKAGES, FACADE):
        root = ROOT / "packages" / package.replace("_", "-") / "src"
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if "examples" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree_of(module: str) -> ast.Module:
    """The source of a module of ours, parsed."""
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


def public_modules(package: str) -> Iterator[str]:
    """The modules of a package that say in `__all__` what is public; itself first."""
    for module in sorted(sources()):
        parts = module.split(".")
        if parts[0] != package or any(part.startswith("_") for part in parts):
            continue
        assigned = (node for node in tree_of(module).body if isinstance(node, ast.Assign))
        if any(ast.unparse(node.targets[0]) == "__all__" for node in assigned):
            yield module


def find(module: str, name: str) -> Found | None:
    """A name that a module defines or imports from another one of ours, if it has a text."""
    body = tree_of(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | Function) and node.name == name:
            if text := ast.get_docstring(node):  # overloads have none
                return Found(module=module, text=text, node=node)
        elif name in _assigned(node) and (text := _string(after)):
            return Found(module=module, text=text, node=node)
    for imported in ast.walk(tree_of(module)):
        if isinstance(imported, ast.ImportFrom) and imported.module in sources():
            for each in imported.names:
                if name == (each.asname or each.name):
                    return find(imported.module, each.name)
    return None


def _assigned(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _string(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.strip().split("\n\n")]


def page() -> str:
    """The part of the page that is generated."""
    parts = []
    for package in PACKAGES:
        parts.append(f"\n## {package}\n")
        shown: set[str] = set()
        for module in public_modules(package):
            new = [name for name in import_module(module).__all__ if name not in shown]
            shown.update(new)
            if new:
                parts.append(_module_part(module, new))
            if "PRESETS" in new:
                parts.append(_providers())
    parts.append(f"\n## {FACADE}\n\nThe same objects under short names.\n")
    parts.append("\n| Module | Names |\n| --- | --- |\n")
    for module in public_modules(FACADE):
        names = ", ".join(f"`{name}`" for name in import_module(module).__all__)
        parts.append(f"| `{module}` | {names} |\n")
    return "".join([*parts, "\n"])


def _module_part(module: str, names: list[str]) -> str:
    about = _paragraphs(ast.get_docstring(tree_of(module)) or "")[0]
    heading = f"\n### {module}\n\n{about}\n" if "." in module else f"\n{about}\n"
    parts = [heading, "\n| Name | What it is |\n| --- | --- |\n"]
    opened = []
    for name in names:
        found = find(module, name)
        if found is None:
            raise SystemExit(f"{module}.{name} does not say what it is")
        parts.append(f"| `{name}` | {cell(_paragraphs(found.text)[0])} |\n")
        if isinstance(found.node, ast.ClassDef) and (name in OPENED or _is_protocol(found.node)):
            opened.append((OPENED.get(name, name), found))
        if name == "RunContext":
            opened += [(heading, _class(*where)) for heading, where in BEHIND_CTX.items()]
    parts += [_class_part(heading, found) for heading, found in opened]
    return "".join(parts)


def _providers() -> str:
    parts = [
        "\n#### Providers\n\nThe rows of `PRESETS`: what `REPLAYT_PROVIDER` knows.\n",
        "\n| Name | Base URL | Model | Key in the environment |\n| --- | --- | --- | --- |\n",
    ]
    for name, preset in PRESETS.items():
        cells = (preset.base_url, preset.default_model, *preset.key_variables)
        url, model, *keys = (f"`{each}`" if each else "" for each in cells)
        parts.append(f"| `{name}` | {url} | {model} | {', '.join(keys)} |\n")
    return "".join(parts)


def _class(module: str, name: str) -> Found:
    found = find(module, name)
    if found is None:
        raise SystemExit(f"there is no {module}.{name} any more")
    return found


def _is_protocol(node: ast.ClassDef) -> bool:
    return "Protocol" in map(ast.unparse, node.bases)


def _class_part(heading: str, found: Found) -> str:
    rows = list(members(found))
    texts = _paragraphs(found.text)
    fields = _fields(found.node)
    parts = [f"\n#### {heading}\n", *(f"\n{text}\n" for text in (texts[1:] or texts[:1]))]
    if fields:
        parts.append("\nFields: " + ", ".join(f"`{name}`" for name in fields) + ".\n")
    if rows:
        parts.append("\n| Member | What it does |\n| --- | --- |\n")
        parts += [f"| `{cell(call)}` | {cell(text)} |\n" for call, text in rows]
    return "".join(parts)


def _fields(node: ast.stmt) -> list[str]:
    body = node.body if isinstance(node, ast.ClassDef) else []
    named = (name for item in body if isinstance(item, ast.AnnAssign) for name in _assigned(item))
    return [name for name in named if not name.startswith("_")]


def members(found: Found) -> Iterator[tuple[str, str]]:
    """The public methods and properties of a class, as they are called, and of what it extends."""
    node = found.node
    if not isinstance(node, ast.ClassDef):
        return
    for item in node.body:
        if isinstance(item, Function) and _is_public(node, item):
            text = ast.get_docstring(item) or "The constructor."
            yield _call(node, item), _paragraphs(text)[0]
    for base in map(ast.unparse, node.bases):
        extended = find(found.module, base)
        if extended is not None:
            yield from members(extended)


def _is_public(owner: ast.ClassDef, item: Function) -> bool:
    if "contextmanager" in map(ast.unparse, item.decorator_list):
        return False  # the ways into a run are the drivers'
    if item.name == "__init__":
        return owner.name in ("Workflow", "Launcher", "Analytics")
    return ast.get_docstring(item) is not None and not item.name.startswith("_")


def _call(owner: ast.ClassDef, item: Function) -> str:
    decorators = set(map(ast.unparse, item.decorator_list))
    if "property" in decorators:
        return item.name
    words = item.args
    given = [each.arg for each in [*words.posonlyargs, *words.args]]
    optional = len(given) - len(words.defaults)
    shown = [name if at < optional else f"{name}=" for at, name in enumerate(given)]
    shown = shown if "staticmethod" in decorators else shown[1:]
    if words.vararg:
        shown.append(f"*{words.vararg.arg}")
    elif words.kwonlyargs:
        shown.append("*")
    for each, default in zip(words.kwonlyargs, words.kw_defaults, strict=True):
        shown.append(each.arg if default is None else f"{each.arg}=")
    if words.kwarg:
        shown.append(f"**{words.kwarg.arg}")
    constructed = "Runner" if owner.name == "Launcher" else owner.name
    name = constructed if item.name == "__init__" else item.name
    return f"{name}({', '.join(shown)})"


def _wanted() -> dict[Path, str]:
    return {PAGE: filled(PAGE, Path(__file__).name, page())}


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], str(__doc__), _wanted, "the packages"))
