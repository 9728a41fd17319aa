"""Write docs/run-log.schema.json, and the tables of docs/RUN_LOG_SCHEMA.md, from the payloads.

Usage: python tools/gen_schema_docs.py [--check]

With `--check` nothing is written; exit code 1 when a file is not what the types say.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

from generated_pages import ROOT, filled, write_or_check
from pydantic import TypeAdapter

from replayt_core import payloads
from replayt_core.events import DECISION_POINTS, LOG_SCHEMA
from replayt_core.payloads import PAYLOADS

PAGE = ROOT / "docs/RUN_LOG_SCHEMA.md"
SCHEMA = ROOT / "docs/run-log.schema.json"


def described() -> dict[str, tuple[str, dict[str, str]]]:
    """For each type of payload its description, and those of its fields."""
    found = {}
    modules = sorted(Path(payloads.__file__).parent.glob("*.py"))
    trees = [ast.parse(module.read_text(encoding="utf-8")) for module in modules]
    for node in (node for tree in trees for node in tree.body):
        if not isinstance(node, ast.ClassDef):
            continue
        fields = {}
        for field, text in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
                    raise SystemExit(f"{node.name}.{field.target.id} has no description")
                fields[field.target.id] = _flowing(str(text.value.value))
        found[node.name] = (_flowing(ast.get_docstring(node) or ""), fields)
    return found


def _flowing(text: str) -> str:
    return " ".join(text.split())


def definitions() -> dict[str, Any]:
    """The JSON Schema of every payload and of what payloads are made of, by name."""
    found: dict[str, Any] = {}
    for payload in PAYLOADS.values():
        schema = TypeAdapter(payload).json_schema()
        found |= schema.pop("$defs", {})
        found[payload.__name__] = schema
    texts = described()
    for name, schema in found.items():
        if name not in texts:
            continue
        schema["description"], fields = texts[name]
        for field, text in fields.items():
            kept = schema["properties"][field]
            # A reference keeps its neighbours only from draft 2019-09 on, which this is.
            schema["properties"][field] = {**_untitled(kept), "description": text}
        schema.pop("title", None)
    return dict(sorted(found.items()))


def _untitled(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _untitled(value) for key, value in schema.items() if key != "title"}
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    return schema


def log_schema(found: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of one line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of a replayt run log",
        "description": f"One line of a log of schema {LOG_SCHEMA}.",
        "type": "object",
        "required": ["ts", "run_id", "seq", "type", "payload"],
        "properties": {
            "ts": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
            "run_id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
            "seq": {"type": "integer", "minimum": 1},
            "type": {"type": "string"},
            "payload": {"type": "object"},
            "prev": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "more": {"const": True},
        },
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind}}},
                "then": {"properties": {"payload": {"$ref": f"#/$defs/{payload.__name__}"}}},
            }
            for kind, payload in PAYLOADS.items()
        ],
        "$defs": found,
    }


def page(found: dict[str, Any]) -> str:
    """The part of the page that is generated."""
    parts = ["\n## Event types\n"]
    payload_names = {payload.__name__ for payload in PAYLOADS.values()}
    for kind, payload in PAYLOADS.items():
        synced = " **synced**" if kind in DECISION_POINTS else ""
        parts.append(f"\n### {kind}\n\n{found[payload.__name__]['description']}{synced}\n")
        parts.append(_table(found[payload.__name__], payload_names))
    parts.append("\n## What payloads are made of\n")
    for name, schema in found.items():
        if name not in payload_names and schema.get("properties"):
            parts.append(f"\n### {name}\n\n{schema['description']}\n")
            parts.append(_table(schema, payload_names))
    return "".join([*parts, "\n"])


def _table(schema: dict[str, Any], payload_names: set[str]) -> str:
    required = set(schema.get("required", ()))
    rows = ["\n| Field | Type | What it holds |\n| --- | --- | --- |\n"]
    for name, field in schema["properties"].items():
        optional = "" if name in required else " (optional)"
        text = field["description"].replace("|", r"\|")
        rows.append(f"| `{name}` | {_type(field, payload_names)}{optional} | {text} |\n")
    return "".join(rows)


def _type(schema: dict[str, Any], payload_names: set[str]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(item, payload_names) for item in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), payload_names)}"
    values = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(values, dict):
        return f"object of {_type(values, payload_names)}"
    return str(schema.get("type", "JSON"))


def _wanted() -> dict[Path, str]:
    found = definitions()
    return {
        PAGE: filled(PAGE, Path(__file__).name, page(found)),
        SCHEMA: json.dumps(log_schema(found), indent=2, ensure_ascii=False) + "\n",
    }


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], str(__doc__), _wanted, "the types"))
