"""What is sent, what is read back, and what a refusal means."""

from __future__ import annotations

import json

import pytest

from replayt_core.errors import LLMError
from replayt_core.ports import ChatRequest, ResponseSchema, Usage
from replayt_llm import PRESETS, LLMSettings, OpenAICompatClient
from tests.llm.helpers import FakeTransport, ask, completion, error_body, no_retry, reply

KEY = "sk-planted-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"note": {"type": "string", "maxLength": 5}},
    "required": ["note"],
}


def run(settings: LLMSettings, request: ChatRequest, answer=None):
    """The transport after one call, and its response."""
    transport = FakeTransport(answer or reply())
    response = OpenAICompatClient(settings, transport=transport).complete(
        request, on_retry=no_retry
    )
    return transport, response


def failed(answer, settings: LLMSettings | None = None) -> LLMError:
    with pytest.raises(LLMError) as caught:
        run(settings or LLMSettings(KEY, max_retries=0), ask(), answer)
    return caught.value


# --- requests -------------------------------------------------------------------------------------


def test_only_what_someone_set_is_sent():
    sent = run(LLMSettings(KEY), ask())[0].sent
    assert sent == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
    }


def test_the_call_goes_to_chat_completions_with_the_key():
    call = run(LLMSettings(KEY), ask())[0].calls[0]
    assert call.url == "https://api.openai.com/v1/chat/completions"
    assert call.headers["Authorization"] == f"Bearer {KEY}"
    assert call.headers["Accept-Encoding"] == "identity"


def test_sc_55_overrides_of_the_call_win_and_are_effective():
    settings = LLMSettings(
        KEY, temperature=1.0, max_tokens=10, seed=1, extra_headers={"X-Team": "a", "X-Keep": "k"}
    )
    request = ask(
        model="m2", temperature=0.0, max_tokens=20, timeout_seconds=4, seed=7,
        extra_headers={"x-team": "b"},
    )  # fmt: skip
    transport, _ = run(settings, request)
    assert transport.sent["model"] == "m2"
    assert transport.sent["temperature"] == 0.0
    assert transport.sent["max_completion_tokens"] == 20
    assert transport.sent["seed"] == 7
    sent_headers = {name.lower(): value for name, value in transport.calls[0].headers.items()}
    assert (sent_headers["x-team"], sent_headers["x-keep"]) == ("b", "k")
    shown = settings.client().effective(request)
    assert shown["model"] == "m2"
    assert (shown["temperature"], shown["max_tokens"], shown["seed"]) == (0.0, 20, 7)
    assert shown["timeout_seconds"] == 4


def test_sc_54_sc_56_effective_holds_what_is_used_and_only_names_of_headers():
    settings = LLMSettings(KEY, extra_headers={"X-Secret": "header-secret"})
    shown = settings.client().effective(ask(SCHEMA, extra_headers={"X-Other": "other-secret"}))
    assert dict(shown) == {
        "provider": "openai", "host": "api.openai.com", "model": "gpt-4o-mini",
        "temperature": None, "max_tokens": None, "timeout_seconds": 60.0, "seed": None,
        "structured_mode": "json_schema", "strict": True,
        "extra_headers": ["X-Other", "X-Secret"],
    }  # fmt: skip
    text = json.dumps(shown)
    assert not any(secret in text for secret in (KEY, "header-secret", "other-secret"))


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "offline"])
def test_each_row_of_the_table_decides_what_is_sent(name):
    row = PRESETS[name]
    settings = LLMSettings(
        KEY, row.base_url or "https://example.com/v1", "m", provider=name, temperature=0.5,
        max_tokens=9, seed=3,
    )  # fmt: skip
    request = ask(SCHEMA)
    sent = run(settings, request)[0].sent
    shown = settings.client().effective(request)
    assert sent[row.token_limit_field] == 9
    assert ("temperature" in sent) == row.accepts_sampling == (shown["temperature"] is not None)
    held_back = [] if row.accepts_sampling else ["temperature"]
    if row.seed_field is None:
        held_back.append("seed")
    else:
        assert sent[row.seed_field] == 3
    assert shown.get("not_sent", []) == held_back
    assert sent.get("response_format", {}).get("type", "prompt") == row.structured_mode
    assert shown["structured_mode"] == row.structured_mode
    assert all(sent[key] == value for key, value in row.extra_body.items())
    in_prompt = '"maxLength": 5' in json.dumps(sent["messages"]).replace('\\"', '"')
    assert in_prompt == (row.structured_mode != "json_schema")


def test_a_host_of_ones_own_gets_the_token_field_that_every_server_knows():
    settings = LLMSettings(KEY, "https://gateway.example/v1", max_tokens=5)
    assert run(settings, ask())[0].sent["max_tokens"] == 5
    newer = LLMSettings(
        KEY, "https://g.example", max_tokens=5, token_limit_field="max_completion_tokens"
    )
    assert run(newer, ask())[0].sent["max_completion_tokens"] == 5


def test_json_schema_mode_sends_name_schema_and_strict():
    sent = run(LLMSettings(KEY), ask(SCHEMA, name="Ünit[int] " + "x" * 99))[0].sent
    shape = sent["response_format"]["json_schema"]
    assert shape["strict"] is True
    assert len(shape["name"]) == 64
    assert shape["name"].startswith("_nit_int__x")
    assert shape["schema"]["additionalProperties"] is False
    assert shape["schema"]["properties"]["note"] == {
        "type": "string", "description": "(maxLength: 5)",
    }  # fmt: skip


def test_a_loopback_server_gets_the_schema_as_it_is():
    sent = run(LLMSettings(base_url="http://127.0.0.1:1/v1"), ask(SCHEMA))[0].sent
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA


def test_a_schema_that_the_subset_cannot_say_is_sent_whole_and_not_strict():
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    sent = run(LLMSettings(KEY), ask(free))[0].sent
    assert sent["response_format"]["json_schema"] == {
        "name": "Reply", "strict": False, "schema": free,
    }  # fmt: skip
    assert LLMSettings(KEY).client().effective(ask(free))["strict"] is False


@pytest.mark.parametrize("mode", ["json_object", "prompt"])
def test_modes_that_do_not_enforce_put_the_schema_into_one_system_message(mode):
    settings = LLMSettings(KEY, structured_mode=mode)
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"})
    shape = ResponseSchema(name="R", json_schema=SCHEMA)
    sent = run(settings, ChatRequest(messages=messages, schema=shape))[0].sent
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["messages"][0]["content"].startswith("Be brief.")
    assert "JSON" in sent["messages"][0]["content"]
    assert messages[0]["content"] == "Be brief.", "the caller's message was changed"
    assert ("response_format" in sent) == (mode == "json_object")


def test_content_parts_pass_through():
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    request = ChatRequest(messages=({"role": "user", "content": parts},))
    assert run(LLMSettings(KEY), request)[0].sent["messages"][0]["content"] == parts


def test_messages_that_are_no_json_are_an_llm_error():
    request = ChatRequest(messages=({"role": "user", "content": float("nan")},))
    with pytest.raises(LLMError) as caught:
        run(LLMSettings(KEY), request)
    assert caught.value.kind == "bad_request"


def test_userinfo_and_query_of_the_url_are_used_and_not_shown():
    settings = LLMSettings(base_url="https://me:pa%40ss-word@host.example/v1/?api-version=2024-99")
    call = run(settings, ask())[0].calls[0]
    assert call.url == "https://host.example/v1/chat/completions?api-version=2024-99"
    assert call.headers["Authorization"] == "Basic bWU6cGFAc3Mtd29yZA=="
    assert call.where == "https://host.example/v1/chat/completions"
    assert settings.client().effective(ask())["host"] == "host.example"
    assert "pa@ss-word" in settings.secrets()


def test_headers_that_belong_to_the_transport_cannot_be_replaced():
    extra = {"accept-encoding": "gzip", "HOST": "evil.example", "content-type": "text/plain"}
    headers = run(LLMSettings(KEY, extra_headers=extra), ask())[0].calls[0].headers
    lowered = [(name.lower(), value) for name, value in headers.items()]
    assert ("accept-encoding", "identity") in lowered
    assert ("content-type", "application/json") in lowered
    assert len({name for name, _ in lowered}) == len(lowered)
    assert "evil.example" not in str(headers)


def test_an_authorization_header_of_ones_own_replaces_the_key():
    headers = run(LLMSettings(KEY, extra_headers={"authorization": "Bearer own-token"}), ask())
    assert KEY not in str(headers[0].calls[0].headers)


# --- replies --------------------------------------------------------------------------------------


def test_sc_53_a_reply_has_model_usage_finish_reason_and_request_id():
    body = json.loads(completion("hello"))
    body["usage"] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "x": {}}
    _, response = run(LLMSettings(KEY), ask(), reply(json.dumps(body).encode(), x_request_id="r-1"))
    assert response.text == "hello"
    assert (response.model, response.finish_reason, response.request_id) == ("m", "stop", "r-1")
    assert response.usage == Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
    assert run(LLMSettings(KEY), ask())[1].request_id == "chatcmpl-1"


@pytest.mark.parametrize(
    "odd", ["NaN", "Infinity", "-1", "1.5", '"7"', "true", "null", "[]", "1e400", "9" * 30]
)
def test_usage_that_is_no_count_is_none(odd):
    body = completion()[:-1] + b', "usage": {"prompt_tokens": %s}}' % odd.encode()
    assert run(LLMSettings(KEY), ask(), reply(body))[1].usage == Usage()


@pytest.mark.parametrize("odd", ["null", "[]", '"x"', "7"])
def test_usage_of_another_shape_is_no_usage(odd):
    body = completion()[:-1] + b', "usage": %s}' % odd.encode()
    assert run(LLMSettings(KEY), ask(), reply(body))[1].usage is None


def test_a_list_of_parts_is_joined():
    parts = [
        {"type": "text", "text": "one "}, "two", {"type": "text", "text": " three"},
        {"type": "reasoning", "text": "hidden"}, {"type": "image_url"}, 7, {"text": 5},
    ]  # fmt: skip
    assert run(LLMSettings(KEY), ask(), reply(completion(parts)))[1].text == "one two three"


def test_refusals_and_tool_calls_are_told_apart_from_text():
    message = {"role": "assistant", "content": None, "refusal": "I cannot"}
    response = run(LLMSettings(KEY), ask(), reply(completion(None, message=message)))[1]
    assert (response.text, response.refusal) == ("", "I cannot")
    part = [{"type": "refusal", "refusal": "No."}]
    assert run(LLMSettings(KEY), ask(), reply(completion(part)))[1].refusal == "No."
    message = {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
    response = run(LLMSettings(KEY), ask(), reply(completion(None, message=message)))[1]
    assert response.has_tool_calls
    assert response.text == ""


def test_lone_surrogates_do_not_reach_the_log():
    body = completion("x").replace(b'"x"', b'"a\\ud800b \\ud83d\\ude00"')
    text = run(LLMSettings(KEY), ask(), reply(body))[1].text
    assert text == "a\ufffdb \U0001f600"


DEEP = b'{"choices": ' + b"[" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"<html>login</html>", b"{", b"", b"\xff\xfe\x00", b"[]", b'"text"', b"null", b"{}", DEEP,
        b'{"choices": {}}', b'{"choices": null}', b'{"choices": [null]}', b'{"choices": ["x"]}',
        b'{"choices": [{}]}', b'{"choices": [{"message": "x"}]}', b'{"choices": [{"text": "x"}]}',
        b'{"choices": [{"message": {"content": 7}}]}', b'{"n": %s}' % (b"9" * 6_000),
        b'{"choices": [{"message": {"content": {"text": "x"}}}]}',
    ],
)  # fmt: skip
def test_what_is_no_chat_completion_is_a_protocol_error(body):
    error = failed(reply(body) if body else reply(b" "))
    assert error.kind == "protocol"
    assert "login" not in error.message


def test_no_choices_is_empty():
    assert failed(reply(b'{"choices": []}')).kind == "empty"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "overloaded"}}', b'{"error": "overloaded"}',
        b'{"choices": [{"error": {"message": "overloaded"}, "finish_reason": "error"}]}',
        b'{"error": {"message": "overloaded"}, "choices": [{"message": {"content": "hi"}}]}',
    ],
)  # fmt: skip
def test_an_error_inside_a_success_is_an_error(body):
    error = failed(reply(body))
    assert error.kind == "error_in_200"
    assert "overloaded" in error.message


def test_empty_content_is_handed_on_for_core_to_judge():
    for content in (None, "", []):
        assert run(LLMSettings(KEY), ask(), reply(completion(content)))[1].text == ""


# --- refusals of the server -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "more", "kind"),
    [
        (400, {}, "bad_request"), (401, {}, "auth"), (402, {}, "quota"), (403, {}, "auth"),
        (404, {}, "not_found"), (408, {}, "timeout"), (409, {}, "other"), (413, {}, "bad_request"),
        (418, {}, "bad_request"), (422, {}, "bad_request"), (429, {}, "rate_limit"),
        (429, {"code": "insufficient_quota"}, "quota"),
        (429, {"type": "insufficient_quota"}, "quota"),
        (400, {"code": "content_filter"}, "content_filter"),
        (500, {}, "server"), (503, {}, "server"), (529, {}, "server"),
        (301, {}, "protocol"), (304, {}, "protocol"),
    ],
)  # fmt: skip
def test_sc_67_each_status_has_its_kind_and_shows(status, more, kind):
    error = failed(reply(error_body("because", **more), status, x_request_id="req-9"))
    assert (error.kind, error.status, error.request_id) == (kind, status, "req-9")
    assert str(status) in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "Flux low", "code": 400}}', b'{"error": "Flux low"}',
        b'[{"error": {"message": "Flux low"}}]', b'{"detail": "Flux low"}',
        b'{"message": "Flux low"}',
        b'{"type": "error", "error": {"type": "x", "message": "Flux low"}}',
    ],
)  # fmt: skip
def test_error_bodies_of_every_shape_are_read(body):
    assert "Flux low." in failed(reply(body, 400)).message


@pytest.mark.parametrize("body", [b"", b"Internal Server Error", b"{", b"[]", b"7", DEEP, b"\xff"])
def test_error_bodies_without_a_message_do_no_harm(body):
    error = failed(reply(body, 500) if body else reply(b" ", 500))
    assert (error.kind, error.status) == ("server", 500)
    assert "Internal Server Error" not in error.message


@pytest.mark.parametrize(
    ("param", "names"),
    [
        ("temperature", "temperature"), ("max_tokens", "max_tokens"), ("seed", "seed"),
        ("response_format", "structured_mode"),
    ],
)  # fmt: skip
def test_an_unsupported_parameter_names_the_setting(param, names):
    body = error_body("Unsupported parameter", code="unsupported_parameter", param=param)
    message = failed(reply(body, 400)).message
    assert "leave out the setting" in message
    assert names in message.partition("setting")[2]


def test_a_prompt_that_is_too_long_says_so():
    body = error_body("the request exceeds the available context size", type="x")
    assert "longer than the model's context" in failed(reply(body, 400)).message


def test_sc_57_what_a_provider_echoes_is_scrubbed_and_cut():
    settings = LLMSettings(
        KEY, "https://u:userinfo-secret@h.example/v1?k=query-secret", max_retries=0,
        extra_headers={"X-Secret": "header-secret"},
    )  # fmt: skip
    echoed = (
        f"key {KEY} header header-secret url https://u:userinfo-secret@h.example/v1?k=query-secret "
        "other https://a:b-c-d@x.example/p?key=zzzz sk-proj-Abc123Abc123Abc123 \x1b[31m\n\u202e"
    )
    for status in (400, 401, 403, 404, 429, 500):
        message = failed(reply(error_body(echoed + "y" * 5_000), status), settings).message
        planted = (
            KEY,
            "header-secret",
            "userinfo-secret",
            "query-secret",
            "b-c-d",
            "zzzz",
            "sk-proj",
        )
        assert not any(secret in message for secret in planted), status
        assert message.isprintable()
        assert len(message) < 600
    message = failed(reply(error_body(echoed), 200, y="z"), settings).message
    assert KEY not in message


def test_a_401_shows_nothing_of_the_servers_text():
    error = failed(reply(error_body("Incorrect API key provided: pla*******789"), 401))
    assert "pla" not in error.message
    assert "Check the API key" in error.message
