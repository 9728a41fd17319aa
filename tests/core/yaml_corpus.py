"""Workflow files that are hostile or mistaken, the line of the fault, and words of the remedy."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024

HEAD = "name: demo\ninitial: a\nsteps:\n"
"""Three lines before the steps."""


class Bad(NamedTuple):
    """One file that has to be refused."""

    data: str | bytes
    line: int
    says: str
    remedy: str

    @property
    def bytes(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else self.data.encode()


def steps(text: str) -> str:
    """A file with these steps, the first in line 4."""
    return HEAD + text


def _laughs() -> str:
    levels = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(levels) + "\n"


def _step(number: int) -> str:
    return f"s{number}" if number else "a"


def _names(start: int, count: int) -> str:
    return "".join(f"{{t{start}_{n}}}" for n in range(count))


CALL = "  a:\n    tool: {function: %s}\n"
PROMPT = "  a:\n    require: [ticket]\n    llm:\n      output_key: out\n      prompt: %s\n"
SCHEMA = "  a:\n    llm:\n      output_key: out\n      prompt: Hi\n      schema: %s\n"

CORPUS: dict[str, Bad] = {
    # What could explode, hide or run.
    "billion laughs": Bad(_laughs(), 1, "anchor &a0", "delete"),
    "one alias": Bad(steps("  a: {set: {x: *y}}\n"), 4, "alias *y", "write the value out"),
    "an anchor": Bad(steps("  a: &here {}\n"), 4, "anchor &here", "delete"),
    "an alias to itself": Bad("&a [*a]\n", 1, "anchor", "delete"),
    "merge key": Bad(steps("  a:\n    <<: {next: a}\n"), 5, "merge key <<", "write the keys out"),
    "python object": Bad(
        steps("  a: !!python/object/apply:os.system ['true']\n"), 4, "tag", "delete"
    ),
    "local tag": Bad(steps("  a: !include other.yaml\n"), 4, "tag", "delete"),
    "standard tag": Bad(steps("  a: {set: {x: !!str 1}}\n"), 4, "tag", "delete"),
    "binary tag": Bad(steps("  a: {set: {x: !!binary aGk=}}\n"), 4, "tag", "delete"),
    "directive": Bad("%YAML 1.1\n---\nname: x\n", 1, "directives", "delete"),
    "a byte too many": Bad(
        steps("  a: {}\n") + "#" * (MIB + 1 - len(steps("  a: {}\n"))), 1, "larger", "split"
    ),
    "far too large": Bad(b"x" * (4 * MIB), 1, "larger", "split"),
    "nested lists": Bad("[" * 100_000, 1, "nested deeper", "flatten"),
    "nested mappings": Bad("{a: " * 50_000, 1, "nested deeper", "flatten"),
    "nested blocks": Bad(
        "".join(" " * n + "a:\n" for n in range(500)), 25, "nested deeper", "flatten"
    ),
    "nested dashes": Bad("- " * 20_000 + "x\n", 1, "nested deeper", "flatten"),
    "too many values": Bad("x: [" + "1," * 400_000 + "]\n", 1, "more than 20000 values", "split"),
    "too many steps": Bad(
        steps("".join(f"  s{n}: {{}}\n" for n in range(501))), 4, "more than 500 steps", "split"
    ),
    "many unknown keys": Bad(
        "".join(f"k{n}: 1\n" for n in range(9_000)), 1, "unknown key 'k0'", "known are"
    ),
    "a huge unknown key": Bad(steps(f"  a: {{{'x' * 900}: 1}}\n"), 4, "unknown key", "known are"),
    "a huge number": Bad(steps(f"  a: {{set: {{x: {'9' * 9000}}}}}\n"), 4, "too large", "quote it"),
    "a number of more than 64 bits": Bad(
        steps("  a: {set: {x: 9223372036854775808}}\n"), 4, "too large", "quote it"
    ),
    "a huge exponent": Bad(steps("  a: {set: {x: 1e999}}\n"), 4, "too large", "quote"),
    "a long template": Bad(
        steps(PROMPT % ("'" + "{nobody}" * 19_000 + "'")), 8, "gives 'nobody'", "require"
    ),
    "many unknown names beside many keys": Bad(
        steps("  a: {next: b, set: {" + ", ".join(f"k{n}: 1" for n in range(4_500)) + "}}\n")
        + "  b: {tool: {function: 'm:f', arguments: {x: ["
        + ", ".join(f"'{_names(n, 990)}'" for n in range(10))
        + "]}}}\n",
        5,
        "gives 't0_0'",
        "require",
    ),
    "a template of very many names": Bad(
        steps(PROMPT % f"'{_names(0, 90_000)}'"), 8, "more than 20000 values", "split"
    ),
    "many unknown fields of many types": Bad(
        steps(
            "".join(
                f"  {_step(n)}: {{llm: {{output_key: o, schema: {{x{n}: string}}, prompt: '"
                + "".join(f"{{o.f{field}}}" for field in range(18))
                + f"'}}, next: {_step((n + 1) % 490)}}}\n"
                for n in range(490)
            )
        ),
        4,
        "has no field 'f0'",
        "it has x0",
    ),
    "quotes that never end": Bad("name: '" + "x" * 900_000, 1, "no YAML", "check"),
    # What is no text.
    "NUL": Bad(steps("  a: {}\n") + "\x00", 5, "control character", "delete"),
    "escape sequence": Bad("name: \x1b[31mred\n", 1, "control character", "delete"),
    "a control character of Latin-1": Bad(
        steps("  a: {set: {x: \x9b31m}}\n"), 4, "control character", "delete"
    ),
    "UTF-32": Bad("name: x\n".encode("utf-32"), 1, "UTF-32", "save the file as UTF-8"),
    "blanks as a name": Bad(steps("  ' ': {}\n  a: {}\n"), 4, "is empty", "write a text"),
    "NUL by escape": Bad('name: "\\0"\n', 1, "NUL", "delete"),
    "UTF-16": Bad("name: x\n".encode("utf-16"), 1, "UTF-16", "save the file as UTF-8"),
    "UTF-16 without mark": Bad("name: x\n".encode("utf-16-be"), 1, "control character", "delete"),
    "Latin-1": Bad("name: a\ninitial: caf\xe9\n".encode("latin-1"), 2, "UTF-8", "save"),
    "an overlong NUL": Bad(b"name: \xc0\x80\n", 1, "UTF-8", "save"),
    # What is no YAML.
    "tab": Bad("name: x\nsteps:\n\ta: {}\n", 3, "no YAML", "indent with spaces"),
    "colon": Bad("name: a: b\n", 1, "no YAML", "quote"),
    "open bracket": Bad("name: [a\ninitial: b\n", 2, "no YAML", "check"),
    "two documents": Bad("name: x\n---\nname: y\n", 2, "second document", "one workflow"),
    "Python": Bad(
        "from replayt import Workflow\nwf = Workflow('x')\n", 1, "single value", "write a mapping"
    ),
    # What has the wrong shape.
    "empty": Bad("", 1, "empty", "needs name, initial and steps"),
    "comments alone": Bad("# nothing\n\n", 1, "empty", "needs"),
    "a list": Bad("- name: x\n", 1, "a list", "write a mapping"),
    "no initial": Bad("name: x\nsteps:\n  a: {}\n", 1, "no `initial`", "add it"),
    "no steps": Bad("name: x\ninitial: a\n", 1, "no `steps`", "add it"),
    "steps as a list": Bad(steps("  - a\n"), 4, "`steps` is a list", "write a mapping"),
    "no name": Bad("initial: a\nsteps:\n  a: {}\n", 1, "no `name`", "add it"),
    "an empty name": Bad("name:\ninitial: a\nsteps:\n  a: {}\n", 1, "`name` is empty", "write"),
    "an empty step": Bad(steps("  a:\n"), 4, "empty", "write {}"),
    "a step as a text": Bad(steps("  a: b\n"), 4, "single value", "write a mapping"),
    "a key that is a list": Bad(
        steps("  a: {}\n  ? [a, b]\n  : {}\n"), 5, "a key is a text", "write"
    ),
    "duplicate step": Bad(steps("  a: {}\n  a: {}\n"), 5, "stands in line 4 already", "delete one"),
    "duplicate key": Bad(
        steps("  a: {next: a, next: a}\n"), 4, "stands in line 4 already", "delete one"
    ),
    # What is misspelt.
    "transition": Bad(steps("  a: {transition: a}\n"), 4, "'transition'", "did you mean 'next'"),
    "brunch": Bad(steps("  a: {brunch: {}}\n"), 4, "'brunch'", "did you mean 'branch'"),
    "unknown root key": Bad("inital: a\nname: b\n", 1, "'inital'", "did you mean 'initial'"),
    "initial is no step": Bad(
        "name: x\ninitial: strat\nsteps:\n  start: {}\n", 2, "'strat'", "did you mean 'start'"
    ),
    "next is no step": Bad(steps("  a: {next: done}\n"), 4, "no step", "declare it"),
    "a case without a step": Bad(
        steps("  a: {require: [x], branch: {key: x, cases: {y: b}}}\n"), 4, "'b'", "declare it"
    ),
    "an edge without a step": Bad(steps("  a: {}\nedges: [[a, b]]\n"), 5, "'b'", "declare it"),
    "an edge with one end": Bad(steps("  a: {}\nedges: [a]\n"), 5, "no edge", "[from, to]"),
    # What excludes each other, or is half there.
    "next and branch": Bad(
        steps("  a: {require: [x], next: a, branch: {key: x, cases: {y: a}}}\n"),
        4,
        "`branch` and `next`",
        "keep one",
    ),
    "approval and next": Bad(
        steps("  a: {next: a, approval: {id: x, on_approve: a, on_reject: a}}\n"),
        4,
        "`approval` and `next`",
        "keep one",
    ),
    "llm and tool": Bad(
        steps("  a: {llm: {prompt: x, output_key: y}, tool: {function: 'm:f'}}\n"),
        4,
        "`llm` and `tool`",
        "split it in two",
    ),
    "no prompt": Bad(steps("  a: {llm: {output_key: y}}\n"), 4, "no `prompt`", "add it"),
    "no output_key": Bad(steps("  a: {llm: {prompt: x}}\n"), 4, "no `output_key`", "add it"),
    "an output_key with a dot": Bad(
        steps("  a: {llm: {prompt: x, output_key: a.b}}\n"), 4, "'a.b'", "use letters"
    ),
    "one route alone": Bad(
        steps("  a: {approval: {id: x, on_approve: a}}\n"), 4, "no `on_reject`", "add it"
    ),
    "no cases": Bad(
        steps("  a: {require: [x], branch: {key: x, cases: {}}}\n"), 4, "`cases`", "write"
    ),
    "a branch on a list": Bad(
        steps("  a: {require: {x: [string]}, branch: {key: x, cases: {y: a}}}\n"),
        4,
        "a list or an object",
        "name a field",
    ),
    "a branch by code": Bad(
        steps("  a: {branch: {key: 'x[0]', cases: {y: a}}}\n"), 4, "'x[0]'", "name.field"
    ),
    # What versions of YAML disagree about.
    "yes as a value": Bad(steps("  a: {set: {x: yes}}\n"), 4, "'yes'", "quote it"),
    "octal": Bad(steps("  a: {set: {mode: 0755}}\n"), 4, "'0755'", "quote it"),
    "a date": Bad(steps("  a: {set: {day: 2024-01-02}}\n"), 4, "'2024-01-02'", "quote it"),
    "base 60": Bad(steps("  a: {set: {at: 10:30}}\n"), 4, "'10:30'", "quote it"),
    "nothing as a value": Bad(steps("  a:\n    set:\n      x:\n"), 6, "nothing", "write null"),
    "True as a case": Bad(
        steps("  a: {require: [x], branch: {key: x, cases: {True: a}}}\n"), 4, "'True'", "true"
    ),
    "a number in an enum": Bad(
        steps(SCHEMA % "{level: {enum: [1, 2]}}"), 8, "'1' in the enum", "quote it"
    ),
    "twice a minus": Bad(
        steps(SCHEMA % "{n: {type: integer, enum: [--5]}}"), 8, "'--5' in the enum", "write 1, 2"
    ),
    "an octal in an enum": Bad(
        steps(SCHEMA % "{n: {type: integer, enum: [007]}}"), 8, "'007' in the enum", "write 1, 2"
    ),
    "a number twice": Bad(
        steps(SCHEMA % "{n: {type: integer, enum: [7, 7]}}"), 8, "'7' stands twice", "delete one"
    ),
    # Numbers out of bounds.
    "temperature as a text": Bad(
        steps("  a: {llm: {prompt: x, output_key: y, temperature: hot}}\n"), 4, "'hot'", "number"
    ),
    "temperature too high": Bad(
        steps("  a: {llm: {prompt: x, output_key: y, temperature: 3}}\n"), 4, "3", "use 0 to 2"
    ),
    "no attempts": Bad(steps("  a: {retry: {max_attempts: 0}}\n"), 4, "max_attempts", "use 1"),
    "half an attempt": Bad(steps("  a: {retry: {max_attempts: 1.5}}\n"), 4, "1.5", "use 1"),
    "a wait back in time": Bad(
        steps("  a: {retry: {backoff_seconds: -1}}\n"), 4, "backoff_seconds", "use a number"
    ),
    # Types.
    "an unknown type": Bad(steps(SCHEMA % "{x: strnig}"), 8, "'strnig'", "did you mean 'string'"),
    "a type of JSON Schema": Bad(steps(SCHEMA % "{x: number}"), 8, "'number'", "mean 'float'"),
    "a bare object": Bad(steps(SCHEMA % "{x: object}"), 8, "'object'", "fields"),
    "nested without fields": Bad(
        steps(SCHEMA % "{x: {city: string}}"), 8, "names no type", "fields"
    ),
    "an empty enum": Bad(steps(SCHEMA % "{x: {enum: []}}"), 8, "enum", "list of values"),
    "two types": Bad(steps(SCHEMA % "{x: [string, integer]}"), 8, "2 types", "[string]"),
    "an unknown key of a type": Bad(
        steps(SCHEMA % "{x: {type: string, requird: true}}"), 8, "'requird'", "use type"
    ),
    "an odd field name": Bad(steps(SCHEMA % "{'a b': string}"), 8, "'a b'", "use letters"),
    # Templates.
    "a format spec": Bad(steps(PROMPT % "'{ticket:>10}'"), 8, "format specs", "{name.field}"),
    "a conversion": Bad(steps(PROMPT % "'{ticket!r}'"), 8, "conversions", "{name.field}"),
    "an index": Bad(steps(PROMPT % "'{ticket[0]}'"), 8, "indexes", "{name.field}"),
    "an attribute": Bad(steps(PROMPT % "'{ticket.__class__}'"), 8, "attribute", "use a field"),
    "an attribute at the start": Bad(steps(PROMPT % "'{__import__}'"), 8, "attribute", "field"),
    "a call": Bad(steps(PROMPT % "'{ticket()}'"), 8, "no name", "{{ }}"),
    "a position": Bad(steps(PROMPT % "'{0}'"), 8, "no name", "{name}"),
    "a single brace": Bad(steps(PROMPT % "'a { b'"), 8, "single {", "write {{"),
    "a single closing brace": Bad(steps(PROMPT % "'a } b'"), 8, "single }", "write }}"),
    "a misspelt name": Bad(steps(PROMPT % "'{tikcet}'"), 8, "'tikcet'", "did you mean 'ticket'"),
    "a template in details": Bad(
        steps("  a:\n    approval:\n      {id: x, on_approve: a, on_reject: a, details: '{q}'}\n"),
        6,
        "'q'",
        "require",
    ),
    # Tools.
    "a tool that is no path": Bad(steps(CALL % "os.getcwd"), 5, "'os.getcwd'", "module:function"),
    "a tool that is missing": Bad(steps(CALL % "'nosuch_mod:f'"), 5, "no module", "install"),
    "a built-in function": Bad(steps(CALL % "'os:system'"), 5, "builtin_function", "in Python"),
    "a class": Bad(steps(CALL % "'pathlib:Path'"), 5, "is a type", "in Python"),
    "no annotations": Bad(steps(CALL % "'shutil:rmtree'"), 5, "no annotation", "add"),
    "no such function": Bad(steps(CALL % "'json:dmups'"), 5, "'dmups'", "did you mean 'dumps'"),
}
