"""Tell how sure a model is: a provider's own SDK inside one step.

Why it exists: `ctx.llm` offers what all providers share. For anything else, here the probability
of a token, call the official SDK in a typed tool. The log then holds arguments and result, a
resumed run is served them, and a re-execution needs neither SDK nor network.

    ask --> file_it
     |
     +----> sort_by_hand

Needs the package `openai`. It reads OPENAI_API_KEY and OPENAI_BASE_URL itself and knows nothing of
REPLAYT_PROVIDER. Without package, key or network the tool fails, and a failed tool is no failed
run: the message goes to a person.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, Field

from replayt import RunContext, ToolError, Workflow, tool

Label = Literal["spam", "mail"]
SURE_FROM = 0.9
MODEL = "gpt-4.1-mini"


class Verdict(BaseModel):
    """What the first token of the reply says, and how probable it was."""

    label: Label | None
    probability: float = Field(ge=0, le=1)
    model: str


@tool(idempotent=True)
def classify(text: str, model: str) -> Verdict:
    """One call of the SDK. Retries are switched off: the log shows every attempt, or none."""
    import openai

    with openai.OpenAI(max_retries=0, timeout=30) as client:
        reply = client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "Is this spam or mail? Reply with that one word."},
                {"role": "user", "content": text},
            ],
            max_completion_tokens=1,
            logprobs=True,
        )
    logprobs = reply.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        raise ValueError("the reply has no probabilities")
    first = logprobs.content[0]
    said = first.token.strip().lower()
    label: Label | None = "spam" if said == "spam" else "mail" if said == "mail" else None
    return Verdict(label=label, probability=min(math.exp(first.logprob), 1.0), model=reply.model)


wf = Workflow("sdk_in_a_step", version="1")
wf.set_initial("ask")


@wf.step("ask", to=["file_it", "sort_by_hand"], expects={"message": str})
def ask(ctx: RunContext) -> str:
    """The SDK answers or fails; both are logged, and both lead somewhere."""
    ctx.tools.register(classify)
    try:
        verdict: Verdict = ctx.tools.call("classify", {"text": ctx.get("message"), "model": MODEL})
    except ToolError as error:
        ctx.because(f"the model could not be asked: {error.error_type}")
        return "sort_by_hand"
    ctx.set("verdict", verdict)
    if verdict.label is None or verdict.probability < SURE_FROM:
        ctx.because(f"{verdict.label} at {verdict.probability:.2f} is not sure enough")
        return "sort_by_hand"
    ctx.because(f"{verdict.label} at {verdict.probability:.2f} is sure enough")
    return "file_it"


@wf.step("file_it")
def file_it(ctx: RunContext) -> None:
    """Sure enough to be filed without a person."""
    ctx.set("folder", ctx.get("verdict")["label"])


@wf.step("sort_by_hand")
def sort_by_hand(ctx: RunContext) -> None:
    """Unsure or unanswered: a person looks at it."""
    ctx.set("folder", "to_sort")
