"""The graph with what runs did: the drawing in a browser, the Mermaid text in Mermaid itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replayt_cli.analyse.graph_counts import GraphCounts, count_runs
from replayt_cli.render.graph.words import mermaid_text, svg_text
from replayt_core import Workflow
from replayt_store.selection import Selection
from tests.browser.test_report_page import CONTRASTS
from tests.cli.test_graph import HOSTILE, X, hostile

if TYPE_CHECKING:
    from tests.browser.conftest import Open, Watch

pytestmark = pytest.mark.browser

MERMAID = Path(__file__).parents[2] / "tools/web/node_modules/mermaid/dist/mermaid.min.js"

DRAW = """
async text => {
  mermaid.initialize({startOnLoad: false, securityLevel: 'strict'});
  const parsed = await mermaid.parse(text);
  const {svg} = await mermaid.render('drawn', text);
  document.body.innerHTML = svg;
  const texts = found => [...document.querySelectorAll(found)].map(n => n.textContent.trim());
  return {
    config: parsed.config,
    names: texts('.node').slice(0, -1),  // the last one is the start
    labels: texts('.edgeLabel p').filter(text => text),
    edges: document.querySelectorAll('.edgePaths path').length,
    dotted: [...document.querySelectorAll('.edgePaths path')]
      .filter(path => /stroke-dasharray: *4/.test(path.getAttribute('style') || '')).length,
    never: document.querySelectorAll('.node.never').length,
  };
}
"""


@pytest.fixture(scope="module")
def counted() -> tuple[Workflow, GraphCounts]:
    """A workflow whose texts are hostile, with one run along all of its states but the last."""
    wf, store = hostile()
    return wf, count_runs(store, wf, Selection(workflow=wf.name))


@pytest.mark.skipif(not MERMAID.is_file(), reason="mermaid is not installed: npm ci in tools/web")
def test_mermaid_reads_back_every_hostile_name(
    open_page: Open, watch: Watch, counted: tuple[Workflow, GraphCounts]
) -> None:
    """SC-154: nodes and edges are all there, no text is a setting, nothing runs."""
    page = open_page("<!doctype html><title>graph</title>")
    page.add_script_tag(path=MERMAID)
    wf, counts = counted
    edges = len(wf.edges) + 1
    plain = page.evaluate(DRAW, mermaid_text(wf, None))
    expected = {"config": {}, "names": HOSTILE, "labels": [], "edges": edges}
    assert plain == {**expected, "dotted": 0, "never": 0}
    shown = page.evaluate(DRAW, mermaid_text(wf, counts))
    taken = [f"{X}1"] * len(counts.moves)
    assert shown == {**expected, "labels": taken, "dotted": 1, "never": 1}
    assert (watch.messages, watch.dialogs) == ([], [])
    assert [url.partition(":")[0] for url in watch.requests] == ["file"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_drawing_can_be_read_and_stays_inside_its_borders(
    open_page: Open, watch: Watch, counted: tuple[Workflow, GraphCounts], scheme: str
) -> None:
    drawn = svg_text(*counted)
    page = open_page(
        f"<!doctype html><title>graph</title><style>body {{ background: {BACK[scheme]} }}</style>"
        f"<body>{drawn}",
        scheme=scheme,
    )
    faint = [item for item in page.evaluate(CONTRASTS) if item["ratio"] < 4.5]
    assert json.dumps(faint) == "[]"
    outside = page.evaluate(
        """() => {
          const all = document.querySelector('svg').getBoundingClientRect();
          return [...document.querySelectorAll('svg text, svg rect, svg path')].filter(part => {
            const box = part.getBoundingClientRect();
            return box.left < all.left - 1 || box.right > all.right + 1
              || box.top < all.top - 1 || box.bottom > all.bottom + 1;
          }).map(part => part.outerHTML);
        }"""
    )
    assert outside == []
    assert (watch.messages, watch.dialogs) == ([], [])


BACK = {"light": "#ffffff", "dark": "#12161c"}
"""The drawing's own paper, for what stands on it alone."""
