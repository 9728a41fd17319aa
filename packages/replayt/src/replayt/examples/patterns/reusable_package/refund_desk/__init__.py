"""The refund workflow of all our shops, as a package: shops bring their rules and their cashier.

Why it exists: three applications with a copy each drift apart. A package has a version, and so has
the workflow in it: a run that waits over an upgrade is refused when the graph or `VERSION` has
changed, and goes on when only the inside of a step did. It needs the core and nothing else; which
store, which model and which tools there are is said by the application.

    judge --> refund --> ask_accounting
      |         ^
      v         |
    ask_person -+-> decline
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from replayt_core import RunContext, ToolError, Workflow

__all__ = ["VERSION", "Rules", "make_workflow"]

VERSION = "2"
"""Raised when a run that waits must not go on with the new code."""

Cashier = Callable[[str, int, str], str]
"""Pays back: order, cents and idempotency key; returns a reference."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What differs between shops."""

    days: int = 30
    ask_from_cents: int = 20_000

    def __post_init__(self) -> None:
        if self.days < 0 or self.ask_from_cents < 0:
            raise ValueError("rules of refunds are not negative")


def make_workflow(*, rules: Rules, cashier: Cashier) -> Workflow:
    """The workflow for one shop. Its inputs: `order` (text), `cents` and `days` (numbers)."""
    wf = Workflow("refund_desk", version=VERSION)
    wf.set_initial("judge")

    def pay_back(order: str, cents: int, key: str) -> str:
        """Pay through the shop's cashier."""
        return cashier(order, cents, key)

    @wf.step(
        "judge",
        to=["refund", "ask_person", "decline"],
        expects={"order": str, "cents": int, "days": int},
    )
    def judge(ctx: RunContext) -> str:
        if ctx.get("days") > rules.days:
            ctx.because(f"{ctx.get('days')} days are more than {rules.days}")
            return "decline"
        if ctx.get("cents") >= rules.ask_from_cents:
            ctx.because(f"{ctx.get('cents')} cents need a person")
            return "ask_person"
        ctx.because("within the rules")
        return "refund"

    @wf.step("ask_person", to=["refund", "decline"])
    def ask_person(ctx: RunContext) -> None:
        ctx.request_approval(
            "refund",
            summary=f"Pay back {ctx.get('cents') / 100:.2f} for order {ctx.get('order')}?",
            on_approve="refund",
            on_reject="decline",
        )

    @wf.step("refund", to=["ask_accounting"])
    def refund(ctx: RunContext) -> str | None:
        ctx.tools.register(pay_back)
        arguments = {name: ctx.get(name) for name in ("order", "cents")}
        try:
            paid = ctx.tools.call("pay_back", {**arguments, "key": ctx.idempotency_key})
        except ToolError as error:
            ctx.because(f"the cashier failed: {error.error_type}")
            return "ask_accounting"
        ctx.set("reference", paid)
        return None

    @wf.step("ask_accounting")
    def ask_accounting(ctx: RunContext) -> None:
        ctx.note("unpaid", f"Order {ctx.get('order')} was not paid back.")

    @wf.step("decline")
    def decline(ctx: RunContext) -> None:
        ctx.set("reply", "The refund is declined.")

    return wf
