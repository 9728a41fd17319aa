"""Greet a customer by name: two states, one decision, no model.

Why it exists: it is the smallest workflow that shows all the parts. A state has a handler; the
handler reads the context, writes to it, and returns the next state; `ctx.because` puts the reason
on record; a state that returns nothing ends the run.

    greet --> welcome
      |
      +-----> welcome_back
"""

from __future__ import annotations

from replayt import RunContext, Workflow

wf = Workflow("hello_world", version="1")
wf.set_initial("greet")


@wf.step("greet", to=["welcome", "welcome_back"], expects={"name": str})
def greet(ctx: RunContext) -> str:
    """`expects` fails the run before the handler starts when the name is missing."""
    orders = ctx.get("orders", 0)
    if orders:
        ctx.because(f"earlier orders: {orders}")
        return "welcome_back"
    ctx.because("no earlier orders")
    return "welcome"


@wf.step("welcome")
def welcome(ctx: RunContext) -> None:
    """For someone new."""
    ctx.set("greeting", f"Hello, {ctx.get('name')}!")


@wf.step("welcome_back")
def welcome_back(ctx: RunContext) -> None:
    """For someone known."""
    ctx.set("greeting", f"Welcome back, {ctx.get('name')}!")
