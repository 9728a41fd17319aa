"""SC-193. The approval bridge in a real browser: its cookie, its policy and its forms work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replayt import Runner, Workflow, fold
from replayt.examples.patterns.approval_bridge import make_bridge
from replayt.examples.patterns.bridge_sessions import new_token
from replayt.persistence import JSONLStore
from tests.browser.conftest import new_context
from tests.facade.pattern_flows import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.conftest import Watch

pytestmark = pytest.mark.browser


def test_someone_signs_in_reads_what_is_asked_and_approves_it(
    chromium: Browser, watch: Watch, tmp_path: Path
) -> None:
    wf = Workflow("letters")
    wf.set_initial("ask")

    @wf.step("ask")
    def ask(ctx):
        ctx.request_approval("send", summary="Send <img src=x onerror=alert(1)>?")

    store = JSONLStore(tmp_path)
    Runner(wf, store).run({}, run_id="letter-1")
    token, hashed = new_token()
    with serving(make_bridge(tmp_path, {"ada": hashed})) as server:
        context = new_context(chromium, width=390)
        page = context.new_page()
        watch.attach(page)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        heading = page.get_by_role("heading", name="Send <img src=x onerror=alert(1)>?")
        heading.wait_for()
        assert page.evaluate("document.body.scrollWidth <= innerWidth")
        page.evaluate("addEventListener('submit', () => { document.title = 'sent' })")
        page.get_by_label("Reason").fill("read it")
        page.get_by_label("Reason").press("Enter")  # presses no button
        page.wait_for_function("document.querySelector('textarea').value === 'read it\\n'")
        assert page.title() != "sent"
        page.get_by_role("button", name="Approve").click()
        page.get_by_text("Nothing waits.").wait_for()
        context.close()
    (asked,) = fold("letter-1", store.read("letter-1")).approvals.values()
    assert (asked.approved, asked.by, asked.reason) == (True, "ada", "read it")
    assert watch.dialogs == []
    assert not [text for text in watch.messages if not re.search("401|favicon", text)]
