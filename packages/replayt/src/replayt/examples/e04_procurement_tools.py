"""Order supplies within a department's budget: typed tools look up, check and order.

Why it exists: a workflow acts on other systems. As a typed tool, an action has validated
arguments and a validated result, both are in the log, and a resumed run is served the logged
result. A lookup may be repeated (`idempotent=True`); an order may not.

    look_up --> order
       |
       +------> ask_for_budget
       |
       +------> not_in_catalogue
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from replayt import RunContext, Workflow, tool


class Request(BaseModel):
    """What someone wants to have."""

    item: str = Field(min_length=1, max_length=80)
    quantity: int = Field(ge=1, le=500)
    department: str = Field(min_length=1, max_length=40)


class Quote(BaseModel):
    """What one piece costs and who sells it. Money is in cents: it has to add up."""

    item: str
    supplier: str
    unit_cents: int


class Order(BaseModel):
    """An order that was placed."""

    order_id: str
    supplier: str
    total_cents: int


CATALOGUE = {
    "monitor": Quote(item="monitor", supplier="Bright Displays", unit_cents=21_900),
    "headset": Quote(item="headset", supplier="Quiet Audio", unit_cents=7_450),
}
BUDGETS_CENTS = {"design": 250_000, "support": 60_000}


@tool(idempotent=True)
def find_quote(item: str) -> Quote | None:
    """The quote for an item; None where the catalogue has none."""
    return CATALOGUE.get(item.strip().lower())


@tool(idempotent=True)
def budget_left(department: str) -> int:
    """What the department may still spend this quarter, in cents."""
    return BUDGETS_CENTS.get(department.strip().lower(), 0)


@tool
def place_order(quote: Quote, quantity: Annotated[int, Field(ge=1, le=500)], key: str) -> Order:
    """Order at the supplier; this example only returns what it would order.

    The same `key` never orders twice: a real supplier is sent it as an idempotency key.
    """
    return Order(
        order_id=f"PO-{key[:8]}", supplier=quote.supplier, total_cents=quote.unit_cents * quantity
    )


wf = Workflow("procurement_tools", version="1")
wf.set_initial("look_up")


@wf.step("look_up", to=["order", "ask_for_budget", "not_in_catalogue"], expects={"request": dict})
def look_up(ctx: RunContext) -> str:
    """Two lookups, then a rule. A tool hands back its declared type, not loose JSON."""
    request = Request.model_validate(ctx.get("request"))
    ctx.tools.register(find_quote)
    ctx.tools.register(budget_left)
    quote: Quote | None = ctx.tools.call("find_quote", {"item": request.item})
    if quote is None:
        ctx.because(f"the catalogue has no {request.item!r}")
        return "not_in_catalogue"
    left: int = ctx.tools.call("budget_left", {"department": request.department})
    total = quote.unit_cents * request.quantity
    ctx.set("quote", quote)
    ctx.set("total_cents", total)
    if total > left:
        ctx.because(f"{total} cents are more than the {left} that are left")
        return "ask_for_budget"
    ctx.because(f"{total} cents fit into the {left} that are left")
    return "order"


@wf.step("order")
def order(ctx: RunContext) -> None:
    """The only state that spends money."""
    ctx.tools.register(place_order)
    quantity = Request.model_validate(ctx.get("request")).quantity
    arguments = {"quote": ctx.get("quote"), "quantity": quantity, "key": ctx.idempotency_key}
    placed: Order = ctx.tools.call("place_order", arguments)
    ctx.set("order", placed)


@wf.step("ask_for_budget")
def ask_for_budget(ctx: RunContext) -> None:
    """Nothing is ordered; the log says by how much the budget was missed."""
    ctx.set("reply", f"The budget does not cover {ctx.get('total_cents') / 100:.2f}.")


@wf.step("not_in_catalogue")
def not_in_catalogue(ctx: RunContext) -> None:
    """Nothing is ordered; purchasing has to find a supplier first."""
    ctx.set("reply", "Purchasing will look for a supplier.")
