"""SC-193. The approval bridge over real HTTP on loopback; tests/browser has it in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from replayt import Runner, Workflow, fold, resolve
from replayt.examples.patterns.approval_bridge import make_bridge
from replayt.examples.patterns.bridge_answers import resume_answered
from replayt.examples.patterns.bridge_sessions import LIFETIME_SECONDS, Sessions, new_token
from replayt.persistence import JSONLStore
from tests.facade.pattern_flows import serving

FORM = "application/x-www-form-urlencoded"
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.fixture
def wf() -> Workflow:
    wf = Workflow("letters")
    wf.set_initial("ask")

    @wf.step("ask", to=["ask", "send", "drop"])
    def ask(ctx):
        if ctx.request_approval(
            "send", summary=f"Send {ctx.get('text')}?", details={"text": ctx.get("text")}
        ):
            return "send"
        ctx.set("text", "a milder letter")
        return "ask" if ctx.visit == 1 else "drop"

    @wf.step("send")
    def send(ctx):
        return None

    @wf.step("drop")
    def drop(ctx):
        return None

    return wf


@pytest.fixture
def store(tmp_path: Path, wf: Workflow) -> JSONLStore:
    store = JSONLStore(tmp_path / "runs")
    Runner(wf, store).run({"text": HOSTILE}, run_id="letter-1")
    return store


class Person:
    """Someone with a token and a browser without JavaScript."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self.cookie = ""
        self.status, _, headers = self.send("POST", "/sign-in", {"token": token})
        self.cookie = headers.get("Set-Cookie", "").split(";")[0]

    def send(
        self,
        method: str,
        path: str,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=100)
        headers = {"Content-Type": FORM, "Cookie": self.cookie, **(headers or {})}
        connection.request(method, path, urlencode(form or {}), headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8")
        connection.close()
        return response.status, text, dict(response.headers)

    def form(self, answer: str, **more: str) -> dict[str, str]:
        """The first form of the list, filled in."""
        page = self.send("GET", "/")[1]
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
        return {**{name: unescape(value) for name, value in hidden[:5]}, "answer": answer, **more}

    def answer(self, answer: str, **more: str) -> tuple[int, str]:
        return self.send("POST", "/answer", self.form(answer, **more))[:2]


@pytest.fixture
def tokens() -> dict[str, tuple[str, str]]:
    return {"ada": new_token(), "grace": new_token()}


@pytest.fixture
def people(store: JSONLStore, tokens: dict[str, tuple[str, str]]) -> Iterator[list[Person]]:
    hashes = {name: hashed for name, (_, hashed) in tokens.items()}
    with serving(make_bridge(store.directory, hashes)) as server:
        yield [Person(server.server_port, token) for token, _ in tokens.values()]


def test_what_was_asked_is_shown_escaped_with_its_digest(
    people: list[Person], store: JSONLStore
) -> None:
    status, page, headers = people[0].send("GET", "/")
    (asked,) = fold("letter-1", store.read("letter-1")).open_approvals()
    assert status == 200
    assert asked.digest in page
    assert "Signed in as ada." in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u001b[31m\\u202e" in page
    assert not re.search("<script|\x1b|\u202e", page)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_an_answer_is_written_under_the_name_of_the_session_and_a_worker_goes_on(
    people: list[Person], store: JSONLStore, wf: Workflow
) -> None:
    assert resume_answered(wf, store) == []
    assert people[1].answer("approve", reason="fine by me", by="mallory")[0] == 303
    (result,) = resume_answered(wf, store)
    assert (result.status, result.final_state) == ("completed", "send")
    (asked,) = fold("letter-1", store.read("letter-1")).approvals.values()
    assert (asked.approved, asked.by, asked.reason) == (True, "grace", "fine by me")
    assert "Nothing waits." in people[1].send("GET", "/")[1]
    assert resume_answered(wf, store) == []


def test_of_two_people_at_once_one_wins_and_the_other_sees_why(
    people: list[Person], store: JSONLStore
) -> None:
    """Both have the page open; both send their answer."""
    forms = [people[0].form("approve"), people[1].form("reject")]
    with ThreadPoolExecutor(2) as pool:
        sent = [
            pool.submit(person.send, "POST", "/answer", form)
            for person, form in zip(people, forms, strict=True)
        ]
        replies = [future.result() for future in sent]
    assert sorted(reply[0] for reply in replies) == [303, 409]
    lost = next(reply[1] for reply in replies if reply[0] == 409)
    (asked,) = fold("letter-1", store.read("letter-1")).approvals.values()
    assert asked.by == ("ada" if asked.approved else "grace")
    said = "approved" if asked.approved else "rejected"
    assert f"approval &#x27;send&#x27; of run letter-1 is {said} already" in lost
    events = [event.type for event in store.read("letter-1")]
    assert events.count("approval_resolved") == 1


def test_an_answer_to_what_is_no_longer_asked_is_refused(
    people: list[Person], store: JSONLStore, wf: Workflow
) -> None:
    """The page was open while the run went on and asked something else under the same id."""
    old = people[0].form("approve")
    resolve(store, "letter-1", "send", approved=False, by="grace")
    Runner(wf, store).resume("letter-1")
    status, page, _ = people[0].send("POST", "/answer", old)
    assert status == 409
    assert "look at what it shows, then answer that" in page
    (asked,) = fold("letter-1", store.read("letter-1")).open_approvals()
    assert asked.details == {"text": "a milder letter"}
    assert people[0].answer("approve")[0] == 303


@pytest.mark.parametrize(
    ("change", "status"),
    [({"seq": "1"}, 409), ({"seq": "one"}, 400), ({"approval_id": "other"}, 404)],
)
def test_an_answer_to_what_was_never_asked_is_refused(
    people: list[Person], store: JSONLStore, change: dict[str, str], status: int
) -> None:
    before = store.path("letter-1").read_bytes()
    assert people[0].answer("approve", **change)[0] == status
    assert store.path("letter-1").read_bytes() == before


def test_only_forms_of_the_session_itself_count(people: list[Person], store: JSONLStore) -> None:
    before = store.path("letter-1").read_bytes()
    form = people[0].form("approve")
    assert people[1].send("POST", "/answer", form)[0] == 403  # of somebody else's page
    assert people[0].send("POST", "/answer", {**form, "form_token": ""})[0] == 403
    assert people[0].send("POST", "/answer", {**form, "answer": "perhaps"})[0] == 400
    # It is not read, so nothing of that length is sent: the server may close before all has come.
    assert people[0].send("POST", "/answer", form, {"Content-Length": "70000"})[0] == 403
    assert people[0].send("POST", "/answer", {**form, "run_id": "../letter-1"})[0] == 404
    people[0].cookie = ""
    assert people[0].send("POST", "/answer", form)[0] == 401
    assert people[0].send("GET", "/")[0] == 401
    assert store.path("letter-1").read_bytes() == before


def test_nobody_is_signed_in_without_a_token_of_the_list(people: list[Person]) -> None:
    port = people[0]._port
    assert people[0].status == 303
    for token in ("", "guess", "é\udcff".encode("utf-8", "replace").decode()):
        assert Person(port, token).status == 401
    stranger = Person(port, "guess")
    forged = people[0].cookie[:-1] + ("0" if people[0].cookie[-1] != "0" else "1")
    for cookie in (forged, "session=a.b.c.d", "session=", 'session="\\351"', "=;=,"):
        stranger.cookie = cookie
        assert stranger.send("GET", "/")[0] == 401


def test_the_cookie_stays_in_the_browser_and_on_this_site(
    people: list[Person], tokens: dict[str, tuple[str, str]]
) -> None:
    _, _, headers = people[0].send("POST", "/sign-in", {"token": tokens["ada"][0]})
    assert {"HttpOnly", "SameSite=Strict"} <= set(headers["Set-Cookie"].split("; "))


def test_a_session_ends() -> None:
    token, hashed = new_token()
    times = [1000.0]
    sessions = Sessions({"ada": hashed}, now=lambda: times[0])
    session = sessions.sign_in(token)
    assert session is not None
    assert sessions.name_of(session) == "ada"
    assert Sessions({"ada": hashed}, now=lambda: times[0]).name_of(session) is None
    times[0] += LIFETIME_SECONDS
    assert sessions.name_of(session) is None


def test_a_damaged_log_is_in_nobodys_way(people: list[Person], store: JSONLStore) -> None:
    store.path("other").write_bytes(b"no log\n")
    assert people[0].answer("approve")[0] == 303
