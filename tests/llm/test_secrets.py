"""RELIABILITY b5: twelve planted secrets, three log modes, four outcomes, over real HTTP.

Each secret has its own text, so that a hit says which one leaked; `MAY` says where one may stand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from replayt_core import LogMode, MemoryStore, RunContext, Runner, Workflow
from replayt_core.ports import Message
from replayt_llm import LLMSettings
from tests.llm.corpus import refuses, says
from tests.llm.helpers import Script, hostile

SECRETS = {
    "api key": "sk-planted-key-0123456789",
    "header of the settings": "planted-settings-header-01",
    "header of the call": "planted-call-header-0123",
    "URL password": "planted-url-password-01",
    "URL query": "planted-url-query-0123",
    "key in an input": "sk-planted-key-0123456789/input",
    "key in a tag": "sk-planted-key-0123456789/tag",
    "key in a tool argument": "sk-planted-key-0123456789/tool",
    "URL in an exception": "planted-exception-query",
    "prompt": "planted prompt words",
    "reply": "planted reply words",
    "value in a Pydantic error": "planted pydantic value",
}
"""The key is one secret in several places, and what stands behind the slash is none."""
PROMPT, REPLY, VALUE = (SECRETS[n] for n in ("prompt", "reply", "value in a Pydantic error"))
MAY: dict[tuple[str, str], frozenset[str]] = {
    (PROMPT, "full"): frozenset({"llm_request"}),
    (REPLY, "full"): frozenset({"llm_response"}),
    (REPLY, "redacted"): frozenset({"llm_response"}),  # the preview of at most 200 characters
    (VALUE, "full"): frozenset(
        {"llm_response", "structured_output_failed", "step_error", "run_failed"}
    ),
    (VALUE, "redacted"): frozenset({"llm_response"}),
}
KEY = SECRETS["api key"]


class Answer(BaseModel):
    count: int


OUTCOMES: dict[str, Script] = {
    "ok": says(f'{REPLY}: {{"count": 1}}'),  # the handler then raises an exception of its own
    "bad output": says(f'{REPLY}: {{"count": "{VALUE}"}}'),
    "no JSON": says(f"{REPLY}, and {VALUE}, and {KEY}"),
    "401": refuses("401 No", f"{KEY} at http://u:{SECRETS['URL password']}@h/?a=b"),
}


def run(script: Script, mode: LogMode) -> tuple[MemoryStore, Any, str]:
    """A run with every secret planted; the store, the result, and all a user may see of it."""
    store = MemoryStore()
    wf = Workflow("planted")
    wf.set_initial("ask")
    shown: list[str] = []

    @wf.step("ask")
    def ask(ctx: RunContext) -> None:
        ctx.tools.register(lambda a: {"length": len(str(a))}, name="measure")
        ctx.tools.call("measure", {"a": SECRETS["key in a tool argument"]})
        llm = ctx.llm.with_settings(extra_headers={"X-Call": SECRETS["header of the call"]})
        messages: list[Message] = [{"role": "user", "content": PROMPT}]
        try:
            llm.parse(Answer, messages=messages)
        except Exception as error:
            shown.append(f"{error!r} {error} {vars(error)!r} {error.__cause__!r}")
            raise
        raise ValueError(
            f"GET https://h.example/x?t={SECRETS['URL in an exception']} failed: {KEY}"
        )

    with hostile(script) as server:
        base_url = server.base_url.replace("//", f"//user:{SECRETS['URL password']}@")
        settings = LLMSettings(
            KEY,
            f"{base_url}?sig={SECRETS['URL query']}",
            timeout_seconds=20,
            extra_headers={"X-Own": SECRETS["header of the settings"]},
        )
        runner = Runner(wf, store, llm_settings=settings, log_mode=mode)
        result = runner.run(
            {"x": SECRETS["key in an input"]}, tags={"t": SECRETS["key in a tag"]}, run_id="r1"
        )
        shown += [repr(settings), repr(settings.client()), repr(result), str(result.error)]
        for header in ("header of the settings", "header of the call"):
            assert SECRETS[header].encode() in server.requests[0], "it was never sent"
        assert f"sig={SECRETS['URL query']}".encode() in server.requests[0]
    return store, result, "\n".join(shown)


@pytest.mark.parametrize("mode", list(LogMode))
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_sc_57_twelve_planted_secrets_stand_where_the_mode_allows_and_nowhere_else(outcome, mode):
    store, result, shown = run(OUTCOMES[outcome], mode)
    assert result.status == "failed"
    assert len(SECRETS) == 12
    found: dict[str, set[str]] = {}
    for event in store.read("r1"):
        for secret in SECRETS.values():
            live = secret.partition("/")[0]
            if live.encode() in event.line:
                found.setdefault(live, set()).add(event.type)
    for secret, types in found.items():
        allowed = MAY.get((secret, mode.value), frozenset())
        assert types <= allowed, f"{secret} in {sorted(types)}"
    for secret in SECRETS.values():
        if secret not in (PROMPT, REPLY, VALUE):
            assert secret.partition("/")[0] not in shown
    # What a mode promises to keep is there: the test looks where something could be found.
    assert (PROMPT in found) == (mode is LogMode.full)
    if outcome != "401":
        assert (REPLY in found) == (mode is not LogMode.structured_only)


@pytest.mark.parametrize("mode", [LogMode.redacted, LogMode.structured_only])
def test_r_30_the_text_of_a_pydantic_error_holds_no_value_outside_full(mode):
    store, result, _ = run(OUTCOMES["bad output"], mode)
    [failed] = [e.payload for e in store.read("r1") if e.type == "structured_output_failed"]
    assert failed["fields"] == ["count: int_parsing"]
    assert VALUE not in json.dumps(failed)
    assert VALUE not in str(result.error)


def test_the_name_of_a_header_is_kept_and_its_value_is_not():
    """SC-56."""
    store, _, _ = run(OUTCOMES["ok"], LogMode.full)
    [asked] = [e.payload for e in store.read("r1") if e.type == "llm_request"]
    assert asked["effective"]["extra_headers"] == ["X-Call", "X-Own"]
