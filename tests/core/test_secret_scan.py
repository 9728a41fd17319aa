"""Finding secrets in recorded logs (issue 5 point 6, SC-57)."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from replayt_core import Event, LogMode, MemoryStore, RunContext, Runner
from replayt_core.chain import decode, first_prev, seal
from replayt_core.events import Draft
from replayt_core.ports.system import UUIDv7Source
from replayt_core.secret_scan import find_secrets
from replayt_core.testing import MockLLMClient
from tests.core.helpers import RUN, log, one_step

FIXTURES = Path(__file__).parents[1] / "fixtures"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
RANDOM = "q7Zt2mVx9LwB4nRkE1sYpA8d"
JOSE = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{RANDOM}"

FOUND = [
    ("private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"),
    ("private key", "-----BEGIN PRIVATE KEY-----"),
    ("private key", "x -----BEGIN OPENSSH PRIVATE KEY----- y"),
    ("private key", "-----BEGIN PGP PRIVATE KEY BLOCK-----"),
    ("password in a URL", "postgres://app:hunter2pass@db.corp.net:5432/x"),
    ("password in a URL", "see https://user:p%40ss@host.corp.net/v1"),
    ("key in a URL", f"https://api.corp.net/v1?api_key={RANDOM}&x=1"),
    ("key in a URL", f"https://corp.net/cb#access_token={RANDOM}"),
    ("AWS access key", "AKIAIOSFODNN7ABCDEFG"),
    ("AWS secret key", "aws_secret_access_key = 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"),
    ("GitHub token", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
    ("GitHub token", "github_pat_11ABCDEFG0123456789abcdefghij"),
    ("GitLab token", "glpat-A1b2C3d4E5f6G7h8I9j0"),
    ("Slack token", "xoxb-123456789012-abcdefABCDEF"),
    ("Slack webhook", f"https://hooks.slack.com/services/T0AB1CD2E/B0AB1CD2E/{RANDOM}"),
    ("Google API key", "AIzaSyA1234567890abcdefghijklmnopqrstuvw"),
    ("Google OAuth secret", f"GOCSPX-{RANDOM}"),
    ("Stripe key", f"sk_live_{RANDOM}"),
    ("model provider key", f"sk-proj-{RANDOM}_{RANDOM}"),
    ("model provider key", f"sk-ant-api03-{RANDOM}"),
    ("model provider key", f"sk-or-v1-{HASH}"),
    ("model provider key", f"gsk_{RANDOM}"),
    ("model provider key", f"xai-{RANDOM}"),
    ("model provider key", f"hf_{RANDOM}"),
    ("SendGrid key", f"SG.{RANDOM[:22]}.{RANDOM}{RANDOM[:19]}"),
    ("package index token", f"npm_{RANDOM}{RANDOM[:12]}"),
    ("package index token", f"pypi-AgEIcHlwaS5vcmc{RANDOM}"),
    ("Azure account key", f"AccountName=a;AccountKey={RANDOM}{RANDOM}{RANDOM}=="),
    ("JSON web token", JOSE),
    ("Slack token", f"xapp-1-A0AB1CD2EF3-1234567890123-{HASH}"),
    ("Stripe key", f"whsec_{RANDOM}"),
    ("Google OAuth secret", f"1//0{RANDOM}{RANDOM}"),
    ("Discord webhook", f"https://discord.com/api/webhooks/123456789012345678/{RANDOM}{RANDOM}"),
    ("Discord token", f"MTA{RANDOM[:21]}.G1a2b3.{RANDOM}xyz"),
    ("Telegram token", f"1234567890:AA{RANDOM}a1b2C3d4E"),
    ("Twilio key", f"SK{HASH[:32]}"),
    ("age secret key", "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "Q2" * 13),
    ("service token", f"dp.pt.{RANDOM}"),
    ("service token", f"dop_v1_{HASH}"),
    ("service token", f"shpat_{HASH[:32]}"),
    ("service token", f"lin_api_{RANDOM}"),
    ("service token", f"ntn_{RANDOM}"),
    ("service token", f"dapi{HASH[:32]}"),
    ("service token", f"HRKU-{RANDOM}"),
    ("service token", f"hvs.{RANDOM}"),
    ("service token", f"lsv2_pt_{HASH[:32]}_{HASH[:10]}"),
    ("service token", f"tvly-{RANDOM}"),
    ("service token", f"figd_{RANDOM}"),
    ("service token", f"ATATT3xFfGF0{RANDOM}"),
    ("service token", f"glsa_{RANDOM}_{HASH[:8]}"),
    ("Azure account key", f"Endpoint=sb://x/;SharedAccessKey={RANDOM}{RANDOM}="),
    ("bearer token", f"Authorization: Bearer {RANDOM}"),
    ("secret by its name", f'{{\\"api_key\\": \\"{RANDOM}\\"}}'),
    ("secret by its name", f"api_key={RANDOM}"),
    ("secret by its name", f"  client-secret: '{RANDOM}'"),
    ("secret by its name", f'{{"access_token": "{RANDOM}"}}'),
    ("secret by its name", f"MISTRAL_API_KEY={RANDOM}"),
    ("secret by its name", f"TOGETHER_API_KEY={HASH}"),
    ("password", "password: hunter2pass"),
    ("password", "PGPASSWORD=hunter2pass"),
    ("e-mail address", "write to ada.lovelace+x@mail.analytical.engine.co.uk, please"),
    ("e-mail address", "<grace@navy.mil>"),
    ("e-mail address", "mailto:a@b.de"),
]

CLEAN = [
    HASH,
    HASH[:32],
    f"sha256:{HASH}",
    f"sha256={HASH}",
    "66778cd8-2526-488d-9c8b-778400b3a417",
    "019d2f3a-0c1e-7abc-8def-0123456789ab",
    "the bearer of responsibilities-and-obligations is the author",
    "basic understanding-of-the-matter",
    "task-management-for-beginners-and-others-2024",
    "sk-learn-based-classification-pipeline-without-numbers",
    "desk-0123456789abcdef0123456789abcdef"[:12],
    "max_tokens: 4096, prompt_tokens=1234567890123",
    "token count is 123456789012345678",
    "the token: authentication",
    "password: ****** and password=$PASSWORD and password: <yours>",
    "api_key=[secret] and token=[secret]",
    "https://host/v1?[secret]",
    "https://user:[secret]@host/v1",
    "api_key=YOUR_API_KEY_GOES_HERE_1",
    "ada@example.com, bob@mail.example.org, c@host.test, d@svc.localhost",
    "git@github.com:owner/repository.git",
    "@wf.step decorates; a@b is none, nor is x@1.2.3 or me@localhost",
    "pip install replayt@0.3.0 2@3.45",
    "PWD=/home/ada/projects OLDPWD=~/x",
    "AuthenticationTokenProviderFactory token=AuthenticationTokenProviderFactory",
    "idempotency_key=" + HASH,
    "tests/core/test_secret_scan.py:17",
    "2026-11-22T22:14:03.123456Z",
    "def f(self, token: str, password: str = None) -> None:",
    "The secret: patience. The password: none.",
    "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 20,
    "key-performance-indicators-for-q3-2024 and key-takeaways-from-the-2024-annual-report",
    "hf_transformers_library_version_4_40_0",
    "fw-update-2024-11-22-release-notes, r8-optimizer-shrinks-android-apps-2024",
    "xai-explainable-artificial-intelligence-2023-survey",
    "basic understanding-of-2-concepts and the token classification-task-2024-v1",
    "the bearer of-this-letter-2024-is",
    "api_key: settings.openai.api_key_v1",
    "token = self.tokenizer.next_token2()",
    "password=os.getenv('PW')",
    "password: required, or password: expired.",
    "AKIAIOSFODNN7EXAMPLE",
    "logo@2x.png and x@y.shape",
    "Reply with the fields token_type and secret_name, nothing else 1234567890",
]


def event(payload: dict[str, Any]) -> Event:
    (made,) = seal(
        RUN,
        [Draft("step_note", payload)],
        after=0,
        head=first_prev(RUN),
        ts="2026-01-02T03:04:05.678901Z",
    )
    return made


def kinds(text: Any) -> list[str]:
    return [found.kind for found in find_secrets([event({"data": text})])]


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_each_kind_is_found_alone_and_in_prose(kind: str, text: str) -> None:
    """SC-57, issue 5 point 6."""
    assert kinds(text) == [kind]
    assert kind in kinds(f"It said: {text}\nand no more")
    assert kind in kinds({"deep": [{"er": [text]}]})


@pytest.mark.parametrize("text", CLEAN)
def test_what_is_no_secret_is_not_told_as_one(text: str) -> None:
    """Issue 5 point 6: hashes, ids, counts, prose and placeholders."""
    assert kinds(text) == []


@pytest.mark.parametrize(
    ("payload", "path", "kind"),
    [
        ({"api_key": RANDOM}, "$.payload.api_key", "secret by the name of its field"),
        ({"apiKey": RANDOM}, "$.payload.apiKey", "secret by the name of its field"),
        ({"OPENAI_API_KEY": RANDOM}, "$.payload.OPENAI_API_KEY", "secret by the name of its field"),
        (
            {"tokens": {"token": RANDOM}},
            "$.payload.tokens.token",
            "secret by the name of its field",
        ),
        ({"db": {"password": "hunter2"}}, "$.payload.db.password", "password"),
        ({"dbPassword": "hunter2"}, "$.payload.dbPassword", "password"),
        ({"a b": ["x", "a@b.de"]}, "$.payload['a b'][1]", "e-mail address"),
        ({"it's": "a@b.de"}, "$.payload['it\\'s']", "e-mail address"),
    ],
)
def test_the_path_leads_to_the_value(payload: dict[str, Any], path: str, kind: str) -> None:
    """Issue 5 point 6: seq, JSON path and kind."""
    (found,) = find_secrets([event(payload)])
    assert (found.seq, found.path, found.kind) == (1, path, kind)


@pytest.mark.parametrize(
    "payload",
    [
        {"token": "read-only"},
        {"password": {"type": "string"}, "api_key": None, "secret": True},
        {"password": "[secret]", "api_key": "[secret]", "token": "***"},
        {"idempotency_key": HASH, "schema_sha256": HASH, "digest": HASH, "hash": HASH},
        {"prompt_tokens": 12, "usage": {"total_tokens": 123456789012}},
        {"key": HASH, "name": "token", "run_id": "66778cd8-2526-488d-9c8b-778400b3a417"},
        {"extra_headers": ["Authorization", "X-Api-Key"]},
        {"public_key": RANDOM, "tokenizer": RANDOM},
    ],
)
def test_names_alone_are_no_finding(payload: dict[str, Any]) -> None:
    """Issue 5 point 6."""
    assert list(find_secrets([event(payload)])) == []


def test_a_secret_that_is_a_name_is_hidden_in_every_path() -> None:
    """Issue 5 point 6: never the value."""
    payload = {"by": {"ada@mail.de": {"password": "hunter2pass"}}}
    found = list(find_secrets([event(payload)]))
    assert [(item.path, item.kind) for item in found] == [
        ("$.payload.by[hidden]", "e-mail address"),
        ("$.payload.by[hidden].password", "password"),
    ]


def test_nothing_that_is_told_holds_the_value() -> None:
    """Issue 5 point 6."""
    for _, text in FOUND:
        told = repr(list(find_secrets([event({text: {"x": text, "y": [text]}})])))
        assert text not in told
        assert RANDOM not in told


def test_several_kinds_in_one_text_are_told_once_each() -> None:
    """Issue 5 point 6."""
    text = f"a@b.de c@d.de Bearer {RANDOM} and sk-proj-{RANDOM}"
    assert kinds(text) == ["model provider key", "bearer token", "e-mail address"]


def test_the_whole_line_is_looked_at() -> None:
    """Issue 5 point 6: bridges and later releases may add fields beside the payload."""
    line = json.dumps(
        {
            "ts": "2026-01-02T03:04:05Z",
            "run_id": RUN,
            "seq": 1,
            "type": "note",
            "payload": {},
            "by": "a@b.de",
        }
    )
    (found,) = find_secrets([decode(line.encode())])
    assert found.path == "$.by"


@pytest.mark.parametrize("path", sorted(FIXTURES.rglob("*.jsonl")), ids=lambda path: path.name)
def test_the_recorded_logs_of_every_release_are_clean(path: Path) -> None:
    """Issue 5 point 6: few false positives."""
    events = [decode(line) for line in path.read_bytes().splitlines() if line]
    assert events
    assert list(find_secrets(events)) == []


@pytest.mark.parametrize("mode", list(LogMode))
def test_a_run_without_secrets_is_clean_in_every_mode(mode: LogMode) -> None:
    """Issue 5 point 6: ids, hashes, digests, keys, provenance and schemas of a whole run."""
    from pydantic import BaseModel

    class Answer(BaseModel):
        token: str
        password: str

    def handler(ctx: RunContext) -> None:
        ctx.tools.register(lambda key: key, name="echo")
        ctx.set("key", ctx.tools.call("echo", {"key": ctx.idempotency_key}))
        ctx.set("random", ctx.random.random())
        asked = [{"role": "user", "content": f"for {ctx.run_id} at {ctx.now}"}]
        ctx.llm.parse(Answer, messages=asked, repair=1)
        ctx.request_approval("go", details={"hash": HASH})

    store = MemoryStore()
    mock = MockLLMClient().enqueue("no").enqueue('{"token": "a", "password": ""}')
    runner = Runner(one_step(handler), store, llm_client=mock, log_mode=mode, ids=UUIDv7Source())
    result = runner.run({"order": "A-17"}, tags={"k": "v"})
    assert result.status == "paused", result.error
    assert list(find_secrets(log(store, result.run_id))) == []


def test_random_ids_and_hashes_are_never_taken_for_secrets() -> None:
    """Issue 5 point 6: ten thousand of each."""
    ids, chance = UUIDv7Source(), random.Random(20)
    made = (
        event(
            {
                "id": ids.new_run_id(),
                "hash": chance.randbytes(32).hex(),
                "head": chance.randbytes(16).hex(),
            }
        )
        for _ in range(10_000)
    )
    assert list(find_secrets(made)) == []


def test_long_texts_are_read_in_one_pass() -> None:
    """RELIABILITY C12: the runner's time limit would end a search that is quadratic."""
    texts = ["a" * 400_000, "a." * 100_000, "://" * 70_000, "@" * 200_000, "a@" * 100_000]
    texts += ["token:" * 60_000, "-----BEGIN " * 20_000, "aws" * 130_000, "sk-" * 130_000]
    assert [kinds(text) for text in texts] == [[] for _ in texts]
    many = " ".join(f"user{n}@corp.net token: {RANDOM}{n}" for n in range(10_000))
    assert kinds(many) == ["secret by its name", "e-mail address"]


def test_every_letter_and_digit_may_stand_in_a_key() -> None:
    """SC-57: made-up keys of the usual lengths."""
    letters, chance = string.ascii_letters + string.digits, random.Random(20)
    missed = 0
    for _ in range(500):
        key = "".join(chance.choices(letters, k=32))
        missed += kinds(f"api_key={key}") != ["secret by its name"]
    assert missed <= 5  # one without any digit has no shape
