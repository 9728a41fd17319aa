"""Workflow files that are as they should be, one for each part of the format."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

TOOLS = """
from typing import Literal

from pydantic import BaseModel

from replayt_core import tool

calls = []


class Receipt(BaseModel):
    paid: float
    lines: list[str]


def pay(amount: float, lines: list[str], note: str = "-") -> Receipt:
    calls.append(note)
    return Receipt(paid=amount, lines=lines)


@tool(name="weigh", idempotent=True)
def size(amount: float) -> Literal["small", "large"]:
    return "large" if amount > 100 else "small"


def forget(key: str) -> None:
    calls.append(key)


def flaky(key: str) -> int:
    calls.append(key)
    if calls.count(key) < 3:
        raise ConnectionError("the vendor is away")
    return calls.count(key)
"""


@dataclass(frozen=True)
class Good:
    """A file, what it is run with, and how the run stands after it."""

    text: str
    inputs: dict[str, Any] = field(default_factory=dict)
    replies: tuple[str, ...] = ()
    ends: str = ""
    context: dict[str, Any] = field(default_factory=dict)


def steps(text: str, initial: str = "a", more: str = "") -> str:
    """A file with these steps, the first in line 4."""
    body = textwrap.indent(textwrap.dedent(text).strip("\n"), "  ")
    return f"name: demo\ninitial: {initial}\nsteps:\n{body}\n{more}"


GOOD: dict[str, Good] = {
    "require, set and next": Good(
        steps("""
            a:
              require: [city]
              set: {count: 3, share: 0.5, on: true, none: null, tags: [x, "y"], deep: {no: "off"}}
              next: b
            b:
              require: {count: integer, share: float, "on": boolean, tags: [string], deep: object}
            """),
        inputs={"city": "Oslo"},
        ends="b",
        context={
            "city": "Oslo",
            "count": 3,
            "share": 0.5,
            "on": True,
            "none": None,
            "tags": ["x", "y"],
            "deep": {"no": "off"},
        },
    ),
    "names that YAML 1.1 takes for booleans": Good(
        steps(
            """
            on:
              require: {answer: {enum: [yes, no]}}
              branch: {key: answer, cases: {yes: off, no: no}}
            off: {}
            no: {}
            """,
            initial="on",
        ),
        inputs={"answer": "no"},
        ends="no",
    ),
    "branch on a text": Good(
        steps("""
            a: {require: [kind], branch: {key: kind, cases: {x: b, y: c}, default: d}}
            b: {}
            c: {}
            d: {}
            """),
        inputs={"kind": "y"},
        ends="c",
    ),
    "branch on a boolean": Good(
        steps("""
            a: {require: {sure: boolean}, branch: {key: sure, cases: {true: b, false: c}}}
            b: {}
            c: {}
            """),
        inputs={"sure": False},
        ends="c",
    ),
    "branch on a number": Good(
        steps("""
            a:
              require: {level: {type: integer, enum: [1, 2]}}
              branch: {key: level, cases: {1: b, 2: c}}
            b: {}
            c: {}
            """),
        inputs={"level": 2},
        ends="c",
    ),
    "branch on null": Good(
        steps("""
            a: {set: {x: null}, branch: {key: x, cases: {null: b}, default: c}}
            b: {}
            c: {}
            """),
        ends="b",
    ),
    "branch by default": Good(
        steps("""
            a: {require: [kind], branch: {key: kind.name, cases: {x: b}, default: c}}
            b: {}
            c: {}
            """),
        inputs={"kind": {"name": 1.5}},
        ends="c",
    ),
    "llm as text": Good(
        steps("""
            a:
              require: [name]
              llm: {prompt: "Greet {name}, in {{braces}}", output_key: greeting}
            """),
        inputs={"name": "Ada"},
        replies=("Hello, Ada",),
        ends="a",
        context={"name": "Ada", "greeting": "Hello, Ada"},
    ),
    "llm with every type": Good(
        steps("""
            a:
              llm:
                system: You read orders.
                prompt: Read it.
                model: tiny-1
                temperature: 0.2
                schema:
                  label: {enum: [low, high], description: how urgent it is}
                  rank: {type: integer, enum: [1, 2]}
                  sure: boolean
                  share: float
                  tags: [string]
                  lines: {items: {fields: {sku: string, count: integer}}}
                  address: {fields: {city: string, zip: {type: string, optional: true}}}
                  copy: string
                  model_id: {type: string, optional: true}
                output_key: order
              next: b
            b:
              branch: {key: order.address.city, cases: {Oslo: c}, default: b}
            c: {}
            """),
        replies=(
            '{"label": "high", "rank": 2, "sure": true, "share": 0.5, "tags": ["x"], "lines": '
            '[{"sku": "s", "count": 1}], "address": {"city": "Oslo"}, "copy": "c"}',
        ),
        ends="c",
        context={
            "order": {
                "label": "high",
                "rank": 2,
                "sure": True,
                "share": 0.5,
                "tags": ["x"],
                "lines": [{"sku": "s", "count": 1}],
                "address": {"city": "Oslo", "zip": None},
                "copy": "c",
                "model_id": None,
            }
        },
    ),
    "tool": Good(
        steps("""
            a:
              require: [order]
              tool:
                function: yaml_demo_tools:pay
                arguments:
                  amount: "{order.amount}"
                  lines: ["{order.id}", "for {order.amount}: {order.meta}"]
                output_key: receipt
            """),
        inputs={"order": {"amount": 12.5, "id": "o1", "meta": {"k": [1, True, None]}}},
        ends="a",
        context={
            "order": {"amount": 12.5, "id": "o1", "meta": {"k": [1, True, None]}},
            "receipt": {"paid": 12.5, "lines": ["o1", 'for 12.5: {"k":[1,true,null]}']},
        },
    ),
    "a tool that returns nothing": Good(
        steps("""
            a:
              set: {out: 1}
              tool: {function: "yaml_demo_tools:forget", arguments: {key: x}, output_key: out}
            """),
        ends="a",
        context={"out": None},
    ),
    "tool and branch in one step": Good(
        steps("""
            a:
              require: {amount: float}
              tool:
                function: yaml_demo_tools:size
                arguments: {amount: "{amount}"}
                output_key: size
              branch: {key: size, cases: {small: b, large: c}}
            b: {}
            c: {}
            """),
        inputs={"amount": 500},
        ends="c",
    ),
    "edges": Good(
        steps("a: {}\nb: {next: a}", more="edges: [[a, b]]\n"),
        ends="a",
    ),
    "a loop": Good(
        steps("""
            a: {set: {seen: "no"}, next: b}
            b: {branch: {key: seen, cases: {"no": c}, default: d}}
            c: {set: {seen: "yes"}, next: b}
            d: {}
            """),
        ends="d",
    ),
}

APPROVAL = steps("""
    a:
      require: [amount]
      llm: {prompt: "Why {amount}?", schema: {why: string}, output_key: reason}
      approval:
        id: spend
        summary: Spend {amount}? {reason.why}
        details: {amount: "{amount}", all: "{reason}", "fixed": [1, true, x]}
        on_approve: pay
        on_reject: stop
    pay:
      tool:
        function: yaml_demo_tools:pay
        arguments: {amount: "{amount}", lines: ["{reason.why}"]}
    stop: {}
    """)
