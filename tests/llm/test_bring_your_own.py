"""A client of one's own behind the port: the two of docs/writing-an-llm-client.md, as printed.

Each has fewer than 40 lines, passes the conformance kit, and one of them, the official OpenAI SDK,
talks to the real model server.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from replayt_core import LLMError, MemoryStore, RunContext, Runner, Workflow, verify
from replayt_core.ports import LLMClient
from replayt_core.testing import LLMClientContract, check_llm_client
from replayt_core.testing.llm_contract import Answer, Provider, Refuses, Says
from tests.llm.corpus import KEY, refuses
from tests.llm.helpers import hostile
from tests.workspace.pages import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "writing-an-llm-client.md"
BLOCKS = {
    name[1]: block.text
    for block in blocks_of(PAGE.name, PAGE.read_text(encoding="utf-8"))
    if (name := re.match(r"# (\w+)\.py\n", block.text))
}


def names_of(block: str) -> dict[str, Any]:
    """What a block of the page defines."""
    found: dict[str, Any] = {"__name__": block}
    exec(compile(BLOCKS[block], f"{PAGE.name}:{block}", "exec"), found)  # noqa: S102 - our own page
    return found


OpenAIClient = names_of("openai_client")["OpenAIClient"]
MessagesClient = names_of("messages_client")["MessagesClient"]
WHOLE, SEPARATOR, _ = BLOCKS["check_messages_client"].partition("\n\ndef make")


def encode_messages(turn: Says | Refuses) -> Answer:
    """The `encode` of the page."""
    found: dict[str, Any] = {}
    source = WHOLE.replace("from messages_client import MessagesClient\n", "")
    exec(compile(source, PAGE.name, "exec"), found)  # noqa: S102 - our own page
    return found["encode"](turn)


class TestOpenAISDK(LLMClientContract):
    def make_client(self, provider: Provider) -> LLMClient:
        return OpenAIClient(provider.base_url, provider.key)


class TestAnthropicMessages(LLMClientContract):
    def make_client(self, provider: Provider) -> LLMClient:
        return MessagesClient(provider.base_url, provider.key)

    def encode(self, turn: Says | Refuses) -> Answer:
        return encode_messages(turn)


@pytest.mark.parametrize("block", ["openai_client", "messages_client"])
def test_a_client_takes_fewer_than_40_lines(block):
    """Imports and constants included; blank lines and the name of the file are none."""
    lines = [line for line in BLOCKS[block].splitlines()[1:] if line.strip()]
    assert 20 < len(lines) < 40
    assert max(map(len, lines)) <= 100


def test_the_blocks_on_checking_say_what_the_tests_here_say():
    assert SEPARATOR
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("… passed, 0 failed, … not offered") == 2


class Verdict(BaseModel):
    label: Literal["good", "bad"]
    reason: Annotated[str, Field(max_length=12)]


def judged() -> Workflow:
    wf = Workflow("judged")
    wf.set_initial("judge")

    @wf.step("judge")
    def judge(ctx: RunContext) -> None:
        llm = ctx.llm.with_settings(max_tokens=200, seed=5)
        verdict = llm.parse(Verdict, messages=[{"role": "user", "content": "judge"}])
        ctx.set("label", verdict.label)

    return wf


def test_the_sdk_runs_a_workflow_on_the_real_model_server(model_server):
    store = MemoryStore()
    client = OpenAIClient(model_server.base_url, "not-needed-here")
    result = Runner(judged(), store, llm_client=client).run(run_id="r1")
    client.close()
    assert (result.status, result.context["label"] in ("good", "bad")) == ("completed", True)
    [response] = [e.payload for e in store.read("r1") if e.type == "llm_response"]
    assert response["usage"]["total_tokens"] > 0
    assert verify(judged(), store.read("r1")).ok


def test_the_key_of_the_sdk_stays_out_of_a_log_that_its_provider_echoes_it_into():
    store = MemoryStore()
    with hostile(refuses("401 No", f"wrong key {KEY}")) as server:
        client = OpenAIClient(server.base_url, KEY)
        result = Runner(judged(), store, llm_client=client, log_mode="full").run(run_id="r1")
        client.close()
    assert (result.status, result.error["type"]) == ("failed", LLMError.__name__)
    assert "401" in result.error["message"]
    assert not any(KEY.encode() in event.line for event in store.read("r1"))


def test_the_report_of_a_client_that_offers_little_is_good_all_the_same():
    report = check_llm_client(lambda provider: OpenAIClient(provider.base_url, provider.key))
    assert report.ok, str(report)
    assert "secrets" not in {r.clause.ability for r in report.failed}
    assert {r.clause.ability for r in report.results if r.outcome == "not offered"} == {
        "describing", "async",
    }  # fmt: skip
