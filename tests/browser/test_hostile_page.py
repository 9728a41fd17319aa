"""Pages of runs that are nothing but hostile text, in a real browser: nothing runs, nothing loads.

`tests/cli/test_injection.py` compares the markup; here a browser, which mends what it reads, says
what it made of it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replayt_cli.render.html import report_html
from replayt_cli.show.recorded_run import read_run
from replayt_store import JSONLStore
from tests.cli.hostile import EVERYTHING, TEXTS, write_store
from tests.cli.reports import Page

if TYPE_CHECKING:
    from tests.browser.conftest import Open, Watch

pytestmark = pytest.mark.browser

COUNT = "() => [...document.querySelectorAll('*')].map(element => element.localName)"
OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"


@pytest.mark.parametrize("name", ["everything", "script", "style", "svg", "separators"])
@pytest.mark.parametrize("run_id", ["whole", "odd", "waits"])
def test_a_browser_sees_the_elements_of_the_page_and_no_other(
    open_page: Open, watch: Watch, tmp_path: Path, name: str, run_id: str
) -> None:
    """SC-146, SC-147: no element more or less than was written, no request, no dialog."""
    write_store(tmp_path / "runs", TEXTS.get(name, EVERYTHING))
    html = report_html(read_run(JSONLStore(tmp_path / "runs"), run_id))
    page = open_page(html)
    page.evaluate(OPEN_ALL)
    assert Counter(page.evaluate(COUNT)) == Counter(tag for tag, _ in Page(html).elements)
    assert (watch.messages, watch.dialogs) == ([], [])
    assert [url.partition(":")[0] for url in watch.requests if url != "data:,"] == ["file"]
