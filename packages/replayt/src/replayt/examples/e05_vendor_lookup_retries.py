"""Look a vendor up in a directory that fails: retry failures, decide on answers.

Why it exists: "the service was down" and "the service says no" are different things. The first is
a failure, and the step's `RetryPolicy` tries it again with a wait that the log records. The second
is an answer, and an answer leads to a state.

    look_up --> onboard
       |
       +------> ask_for_papers

The directory of this example is unreachable at the first attempt, so the run needs two.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from replayt import RetryPolicy, RunContext, ToolError, Workflow, tool

FIRST_ATTEMPT_ANSWERED = 2


class Vendor(BaseModel):
    """What the directory knows about a company."""

    name: str
    vat_id: str
    active: bool


REGISTER = {
    "northwind paper": Vendor(name="Northwind Paper", vat_id="DE811907980", active=True),
    "gone & sons": Vendor(name="Gone & Sons", vat_id="FR40303265045", active=False),
}


class Inquiry(BaseModel):
    """Whom to look up."""

    vendor: str = Field(min_length=1, max_length=120)


@tool(idempotent=True)
def find_vendor(name: str, attempt: int) -> Vendor | None:
    """The directory's entry, None where it has none.

    Raises `ConnectionError` where the directory cannot be reached: that is no answer.
    """
    if attempt < FIRST_ATTEMPT_ANSWERED:
        raise ConnectionError("the vendor directory does not answer")
    return REGISTER.get(name.strip().lower())


wf = Workflow("vendor_lookup_retries", version="1")
wf.set_initial("look_up")


@wf.step(
    "look_up",
    to=["onboard", "ask_for_papers"],
    expects={"inquiry": dict},
    retries=RetryPolicy(max_attempts=3, backoff_seconds=0.1, multiplier=2, retry_on=(ToolError,)),
)
def look_up(ctx: RunContext) -> str:
    """A `ToolError` ends the attempt, and the policy starts the next one at the top."""
    inquiry = Inquiry.model_validate(ctx.get("inquiry"))
    ctx.set("lookup_attempts", ctx.attempt)
    ctx.tools.register(find_vendor)
    vendor: Vendor | None = ctx.tools.call(
        "find_vendor", {"name": inquiry.vendor, "attempt": ctx.attempt}
    )
    if vendor is None:
        ctx.because("the directory knows no such vendor")
        return "ask_for_papers"
    ctx.set("vendor", vendor)
    if not vendor.active:
        ctx.because(f"{vendor.name} is no longer active")
        return "ask_for_papers"
    ctx.because(f"{vendor.name} is registered and active")
    return "onboard"


@wf.step("onboard")
def onboard(ctx: RunContext) -> None:
    """The entry is good enough to pay invoices of this vendor."""
    ctx.note("onboarded", "The vendor can be paid.", data=ctx.get("vendor"))


@wf.step("ask_for_papers")
def ask_for_papers(ctx: RunContext) -> None:
    """The directory answered, and its answer does not do: no retry would change that."""
    ctx.set("reply", "Please send an extract from the commercial register.")
