"""The JSON Schema for editors says what the loader takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replayt_core import WorkflowFileError
from replayt_core.yaml_spec import parse_workflow, workflow_schema
from tests.core.yaml_corpus import CORPUS
from tests.core.yaml_files import APPROVAL, GOOD, steps

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed here: the extra `yaml`")
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed here")

DOCS = Path(__file__).parents[2] / "docs"
CHECKER = jsonschema.Draft202012Validator(workflow_schema())

SEEN_BY_BOTH = [
    "a list", "no initial", "no steps", "steps as a list", "no name", "a step as a text",
    "transition", "brunch", "unknown root key", "an edge with one end", "next and branch",
    "approval and next", "llm and tool", "no prompt", "no output_key",
    "an output_key with a dot", "one route alone", "no cases", "temperature as a text",
    "temperature too high", "no attempts", "half an attempt", "a wait back in time",
    "an unknown type", "a type of JSON Schema", "a bare object", "nested without fields",
    "an empty enum", "two types", "an unknown key of a type", "an odd field name",
    "a tool that is no path", "too many steps", "an empty step",
]  # fmt: skip


class Plain(yaml.SafeLoader):
    """Reads as an editor does: booleans are `true` and `false`, what is no JSON is text."""


Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.endswith((":int", ":float", ":null"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Plain.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


def as_an_editor_reads(text: str | bytes) -> Any:
    return yaml.load(text, Loader=Plain)


def test_it_is_a_schema_and_the_published_copy_is_the_same() -> None:
    jsonschema.Draft202012Validator.check_schema(workflow_schema())
    published = json.loads((DOCS / "workflow.schema.json").read_text(encoding="utf-8"))
    assert published == workflow_schema()


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_valid(name: str) -> None:
    CHECKER.validate(_keys_as_text(as_an_editor_reads(GOOD[name].text)))
    CHECKER.validate(_keys_as_text(as_an_editor_reads(APPROVAL)))


@pytest.mark.parametrize("name", SEEN_BY_BOTH)
def test_what_is_mistaken_in_form_is_invalid(name: str) -> None:
    document = _keys_as_text(as_an_editor_reads(CORPUS[name].bytes))
    assert not CHECKER.is_valid(document)


def _keys_as_text(value: Any) -> Any:
    """JSON knows text keys alone."""
    if isinstance(value, dict):
        return {_key(key): _keys_as_text(item) for key, item in value.items()}
    return [_keys_as_text(item) for item in value] if isinstance(value, list) else value


def _key(key: object) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _closed(node: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """The mappings of the schema that take certain keys alone."""
    if isinstance(node, dict):
        if node.get("additionalProperties") is False:
            yield path, set(node["properties"])
        for key, item in node.items():
            yield from _closed(item, f"{path}/{key}")
    elif isinstance(node, list):
        for item in node:
            yield from _closed(item, path)


PLACES = {
    "": "zz: 1\n",
    "/$defs/step": steps("a: {zz: 1}"),
    "/$defs/step/properties/llm": steps("a: {llm: {zz: 1}}"),
    "/$defs/step/properties/tool": steps("a: {tool: {zz: 1}}"),
    "/$defs/step/properties/approval": steps("a: {approval: {zz: 1}}"),
    "/$defs/step/properties/branch": steps("a: {branch: {zz: 1}}"),
    "/$defs/step/properties/retry": steps("a: {retry: {zz: 1}}"),
    "/$defs/inputType/anyOf": steps("a: {require: {x: {type: any, zz: 1}}}"),
    "/$defs/outputType/anyOf": steps("a: {llm: {schema: {x: {type: string, zz: 1}}}}"),
}


def test_the_schema_has_the_keys_that_the_loader_names_as_known() -> None:
    closed = dict(_closed(workflow_schema()))
    assert closed.keys() == PLACES.keys()
    for path, text in PLACES.items():
        with pytest.raises(WorkflowFileError) as caught:
            parse_workflow(text)
        (said,) = [line for line in caught.value.problems if "'zz'" in line]
        listed = said.rpartition("known are " if "known are" in said else "use ")[2]
        assert set(listed.partition(";")[0].split(", ")) == closed[path], path
