"""The report page in a real browser: what it loads, what it looks like, who can use it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replayt_cli.render.html import report_html
from tests.cli.reports import changed, every_event, long_run, recorded, text_places
from tests.cli.test_report import PAYLOADS

if TYPE_CHECKING:
    from tests.browser.conftest import Open, Watch

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "tools/web/node_modules/axe-core/axe.min.js"

OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"

CONTRASTS = """
() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('svg.lane, svg.key, .skip') || !element.checkVisibility()) continue;
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own) continue;
    const style = getComputedStyle(element);
    const drawn = element instanceof SVGElement;
    const box = drawn && element.closest('.state, .label')?.querySelector('rect');
    const behind = box ? parts(getComputedStyle(box).fill) : back(element);
    const ink = parts(drawn ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(behind)].sort((a, b) => a - b);
    found.push({
      text: element.textContent.slice(0, 40), name: element.tagName + '.' + element.className,
      ratio: (high + 0.05) / (low + 0.05),
    });
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def every() -> str:
    """The page of a run in which every type of event occurs."""
    return report_html(recorded("desk", every_event()))


@pytest.fixture(scope="module")
def long() -> str:
    """The page of a run of 5,001 events."""
    return report_html(recorded("long", long_run(625), status="interrupted"))


def test_the_page_asks_for_nothing_and_complains_about_nothing(
    open_page: Open, watch: Watch, every: str
) -> None:
    """R27, SC-147: one request, its own; the stylesheet passes its own policy."""
    page = open_page(every)
    page.evaluate(OPEN_ALL)
    page.mouse.wheel(0, 20_000)
    page.wait_for_load_state("networkidle")
    assert [url.partition(":")[0] for url in watch.requests] in (["file"], ["file", "data"])
    assert watch.messages == []
    assert page.evaluate("document.scripts.length") == 0
    font = page.evaluate("getComputedStyle(document.body).fontFamily")
    assert font.startswith("system-ui")


def test_no_text_of_a_log_runs_loads_or_styles_anything(open_page: Open, watch: Watch) -> None:
    """R27, SC-146: twelve payloads in every text field of every event."""
    hostile = " ".join(PAYLOADS.values())
    records = []
    for kind, payload in every_event():
        bad = payload
        for place in text_places(payload):
            bad = changed(bad, place, lambda _old: hostile)
        records.append((kind, bad))
    page = open_page(report_html(recorded("desk", records)))
    page.evaluate(OPEN_ALL)
    for summary in page.locator("summary").all()[:5]:
        summary.hover()
    page.wait_for_load_state("networkidle")
    assert [url.partition(":")[0] for url in watch.requests] in (["file"], ["file", "data"])
    assert (watch.messages, watch.dialogs) == ([], [])
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.querySelectorAll('img, iframe, object, style').length") == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_steps_open_by_keyboard(open_page: Open, every: str) -> None:
    page = open_page(every)
    first = page.locator(".step > details").first
    first.locator(".panel").wait_for(state="hidden")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.step > details > summary')"):
            break
    page.keyboard.press("Enter")
    first.locator(".panel").wait_for(state="visible")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    first.locator(".panel").wait_for(state="hidden")


def test_the_first_tab_stop_leads_to_the_timeline(open_page: Open, every: str) -> None:
    page = open_page(every)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the timeline"
    page.keyboard.press("Enter")
    page.wait_for_url("**#timeline")


@pytest.mark.parametrize("width", [320, 390, 768])
@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_a_phone_needs_no_sideways_scrolling(
    open_page: Open, every: str, width: int, opened: bool
) -> None:
    page = open_page(every, width=width)
    if opened:
        page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width


def test_dark_and_light_differ(open_page: Open, every: str) -> None:
    colours = """[
      getComputedStyle(document.documentElement).backgroundColor,
      getComputedStyle(document.body).color,
      getComputedStyle(document.querySelector('.graph .state rect')).fill,
    ]"""
    light = open_page(every).evaluate(colours)
    dark = open_page(every, scheme="dark").evaluate(colours)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    assert sum(map(int, light[0][4:-1].split(", "))) > 600
    assert sum(map(int, dark[0][4:-1].split(", "))) < 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(open_page: Open, every: str, scheme: str) -> None:
    """A contrast of at least 4.5 everywhere (WCAG AA)."""
    page = open_page(every, scheme=scheme)
    page.evaluate(OPEN_ALL)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 300
    assert [item for item in found if item["ratio"] < 4.5] == []


def test_printing_hides_nothing(open_page: Open, every: str) -> None:
    page = open_page(every)
    hidden = """
      [...document.querySelectorAll('.panel, .aside table, .values pre')].filter(
        e => e.getBoundingClientRect().height < 8 || !e.checkVisibility()
      ).length
    """
    assert page.evaluate(hidden) > 15
    page.emulate_media(media="print")
    assert page.evaluate(hidden) == 0
    cut = """
      [...document.querySelectorAll('.figure, .scroll')].filter(
        e => e.scrollHeight > e.clientHeight + 1
      ).length
    """
    assert page.evaluate(cut) == 0
    back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert back == "rgb(255, 255, 255)"


def test_printing_is_light_where_the_screen_is_dark(open_page: Open, every: str) -> None:
    page = open_page(every, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.graph .state rect')).fill")
        == "rgb(244, 246, 248)"
    )


def test_landmarks_and_headings_are_in_order(open_page: Open, every: str) -> None:
    page = open_page(every)
    page.evaluate(OPEN_ALL)
    for landmark in ("body > header", "body > nav", "body > main", "body > footer"):
        assert page.locator(landmark).count() == 1
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.get_by_role("img", name="The path of run desk").count() == 1


def test_a_link_leads_into_parts_that_are_closed(open_page: Open, long: str) -> None:
    page = open_page(long, fragment="s18")
    page.locator("#s18").wait_for(state="visible")
    assert not page.locator("#s3000").is_visible()


def test_a_long_run_lays_out_what_is_open_only(open_page: Open, long: str) -> None:
    """What opens with the page is small, whatever the length of the run."""
    page = open_page(long)
    drawn = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.checkVisibility()).length"
    )
    assert page.evaluate("document.querySelectorAll('*').length") > 50_000
    assert drawn < 5_000
    first = page.locator("details.group").first
    first.locator("> summary").click()
    first.locator(".step").first.wait_for(state="visible")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(open_page: Open, every: str, scheme: str, width: int) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `npm ci` in tools/web")
    page = open_page(every, scheme=scheme, width=width)
    page.evaluate(OPEN_ALL)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (item["id"], item["impact"], [node["html"][:200] for node in item["nodes"][:3]])
        for item in result["violations"]
        if item["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert len(result["passes"]) > 10
