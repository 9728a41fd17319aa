"""A step that asks a contained loop for a proposal; the workflow decides what becomes of it.

Why it exists: what a loop answers is a suggestion of a stranger. It is validated, held against the
workflow's own rules, and logged: `verify` executes the workflow again without running the loop.

    propose --> publish
       |
       +-----> edit_by_hand
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from replayt import RunContext, ToolError, Workflow
from replayt.examples.patterns.sandbox import Limits, run_contained


class Proposal(BaseModel):
    """What the loop may answer, and nothing else."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=80)
    rounds: int = Field(ge=1, le=50)


def make_workflow(program: Path, limits: Limits) -> Workflow:
    """A workflow that asks the loop in `program` for a title and decides by its own rule."""
    wf = Workflow("sandbox", version="1")
    wf.set_initial("propose")

    def propose_title(text: str) -> Proposal:
        """Run the loop once."""
        return run_contained(program, {"text": text}, Proposal, limits)

    @wf.step("propose", to=["publish", "edit_by_hand"], expects={"text": str, "banned": list})
    def propose(ctx: RunContext) -> str:
        ctx.tools.register(propose_title)
        try:
            found: Proposal = ctx.tools.call("propose_title", {"text": ctx.get("text")})
        except ToolError as error:
            ctx.because(f"no proposal: {error.message}")
            return "edit_by_hand"
        ctx.set("title", found.title)
        bad = [word for word in ctx.get("banned") if word.lower() in found.title.lower()]
        ctx.because(f"banned: {', '.join(bad)}" if bad else "the title breaks no rule")
        return "edit_by_hand" if bad else "publish"

    @wf.step("publish")
    def publish(ctx: RunContext) -> None:
        ctx.note("published", ctx.get("title"))

    @wf.step("edit_by_hand")
    def edit_by_hand(ctx: RunContext) -> None:
        ctx.note("waits", "A person writes the title.")

    return wf
