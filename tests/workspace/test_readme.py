"""SC-194. The pages do what they say: every block is run as written or says why it is not."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.workspace.helpers import MEMBERS, ROOT
from tests.workspace.pages import Reader, anchors, blocks_of, fits, local_links

EXAMPLES = ROOT / "packages/replayt/src/replayt/examples"
PAGES = {
    "README.md": ROOT / "README.md",
    "docs/README.md": ROOT / "docs/README.md",
    "docs/quickstart.md": ROOT / "docs/quickstart.md",
    "docs/writing-an-llm-client.md": ROOT / "docs/writing-an-llm-client.md",
    "docs/logs-and-secrets.md": ROOT / "docs/logs-and-secrets.md",
    "docs/stores.md": ROOT / "docs/stores.md",
    "docs/writing-a-store.md": ROOT / "docs/writing-a-store.md",
    "docs/log-as-test.md": ROOT / "docs/log-as-test.md",
    "docs/comparing-runs.md": ROOT / "docs/comparing-runs.md",
    "docs/analytics.md": ROOT / "docs/analytics.md",
    "docs/configuration.md": ROOT / "docs/configuration.md",
    "docs/yaml-workflows.md": ROOT / "docs/yaml-workflows.md",
    "docs/concepts.md": ROOT / "docs/concepts.md",
    "docs/installation.md": ROOT / "docs/installation.md",
    "docs/production.md": ROOT / "docs/production.md",
    "docs/security.md": ROOT / "docs/security.md",
    "docs/cli.md": ROOT / "docs/cli.md",
    "docs/api.md": ROOT / "docs/api.md",
    "docs/comparison.md": ROOT / "docs/comparison.md",
    "docs/scope.md": ROOT / "docs/scope.md",
    "docs/migration.md": ROOT / "docs/migration.md",
    "docs/patterns.md": ROOT / "docs/patterns.md",
    "docs/RUN_LOG_SCHEMA.md": ROOT / "docs/RUN_LOG_SCHEMA.md",
    "docs/architecture.md": ROOT / "docs/architecture.md",
    "docs/packages.md": ROOT / "docs/packages.md",
    "docs/releasing.md": ROOT / "docs/releasing.md",
    "docs/CONTRIBUTING.md": ROOT / "docs/CONTRIBUTING.md",
    ".github/SECURITY.md": ROOT / ".github/SECURITY.md",
    "examples/README.md": EXAMPLES / "README.md",
    **{f"packages/{name}/README.md": MEMBERS[name].path / "README.md" for name in MEMBERS},
}
RUN_AND_NOT_RUN = {
    "README.md": (7, 4),
    "docs/README.md": (0, 0),
    "docs/quickstart.md": (8, 0),
    "docs/writing-an-llm-client.md": (6, 0),
    "docs/logs-and-secrets.md": (5, 0),
    "docs/stores.md": (5, 0),
    "docs/writing-a-store.md": (4, 1),
    "docs/log-as-test.md": (5, 0),
    "docs/comparing-runs.md": (3, 0),
    "docs/analytics.md": (5, 0),
    "docs/configuration.md": (4, 0),
    "docs/yaml-workflows.md": (5, 0),
    "docs/concepts.md": (5, 0),
    "docs/installation.md": (1, 5),
    "docs/production.md": (8, 0),
    "docs/security.md": (3, 0),
    "docs/cli.md": (2, 0),
    "docs/api.md": (1, 0),
    "docs/comparison.md": (0, 0),
    "docs/scope.md": (0, 0),
    "docs/migration.md": (5, 0),
    "docs/patterns.md": (19, 2),
    "docs/RUN_LOG_SCHEMA.md": (1, 0),
    "docs/architecture.md": (0, 0),
    "docs/packages.md": (1, 0),
    "docs/releasing.md": (0, 3),
    "docs/CONTRIBUTING.md": (0, 2),
    ".github/SECURITY.md": (0, 0),
    "examples/README.md": (20, 0),
    "packages/replayt/README.md": (1, 0),
    "packages/replayt-core/README.md": (1, 0),
    "packages/replayt-llm/README.md": (1, 0),
    "packages/replayt-store/README.md": (1, 0),
    "packages/replayt-cli/README.md": (1, 0),
}
"""How many blocks of each page are run, and how many say why they are not."""
each_page = pytest.mark.parametrize("page", PAGES)
needs_bash = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="the pages' shell blocks are for bash"
)


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def test_every_page_is_in_the_table() -> None:
    there = {ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/*.md")}
    there |= {
        path
        for path in ROOT.glob("packages/**/*.md")
        if path.name != "CHANGELOG.md" and "templates" not in path.parts
    }
    assert there == set(PAGES.values())


@needs_bash
@each_page
def test_every_block_runs_as_written(page: str, tmp_path: Path) -> None:
    """SC-33 and SC-81 are in the README; its `text` blocks say what has to be printed."""
    reader = Reader(tmp_path)
    for block in blocks_of(page, text_of(page)):
        if block.runnable and block.not_run is None:
            reader.run(block)


@each_page
def test_the_blocks_that_are_run_and_those_that_say_why_not_are_counted(page: str) -> None:
    runnable = [block for block in blocks_of(page, text_of(page)) if block.runnable]
    marked = [block for block in runnable if block.not_run is not None]
    counts = (len(runnable) - len(marked), len(marked))
    assert counts == RUN_AND_NOT_RUN[page], f"{page}: (run, not run) is {counts}; see the table"
    unlabelled = [block.where for block in blocks_of(page, text_of(page)) if not block.language]
    assert not unlabelled, "these blocks name no language; use text for output"


def test_the_readme_holds_the_examples_that_are_promised() -> None:
    """SC-33: prints a run id and `completed`. SC-81: the typed tool's `sum` is 4."""
    blocks = {
        name[1]: block
        for block in blocks_of("README.md", text_of("README.md"))
        if (name := re.match(r"# (\w+\.py)\n", block.text))
    }
    assert {"hello.py", "sort_ticket.py", "add.py", "ship.py"} <= blocks.keys()
    hello, add = blocks["hello.py"], blocks["add.py"]
    assert "from replayt import LogMode, Runner, Workflow\n" in hello.text
    assert "from replayt.persistence import JSONLStore\n" in hello.text
    assert "print(result.run_id, result.status)" in hello.text
    assert hello.output == "… completed\n"
    assert 'ctx.set("sum", result.total)' in add.text
    assert add.output == "completed 4\n"
    assert all(block.not_run is None for block in blocks.values())


@needs_bash
def test_a_wrong_block_would_be_noticed(tmp_path: Path) -> None:
    page = "```sh\nexit 3  # exits with 2\n```\n```python\nprint(1)\n```\n```text\n2\n```\n"
    wrong_code, wrong_output, _ = blocks_of("page", page)
    with pytest.raises(AssertionError, match="exited with 3, the page says 2"):
        Reader(tmp_path).run(wrong_code)
    with pytest.raises(AssertionError, match="should print"):
        Reader(tmp_path).run(wrong_output)
    assert fits("… completed\n", "01a2 completed\n")
    assert not fits("… completed\n", "01a2\ncompleted\n")
    assert fits("one\n…\n", "one\n")
    assert fits("one\n…\nfour\n", "one\ntwo\nthree\nfour\n")
    assert not fits("one\n…\n", "onetwo\n")
    assert not fits("…\nfour\n", "one\nfive\n")


@each_page
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    for link in local_links(text_of(page)):
        name, _, anchor = link.partition("#")
        target = (PAGES[page].parent / name).resolve() if name else PAGES[page]
        assert target.exists(), f"{page}: {link} leads nowhere"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


@each_page
def test_nobody_is_sent_to_the_package_of_that_name_on_the_index(page: str) -> None:
    """`replayt` on the public index is other people's; only local paths and wheels are this."""
    for block in blocks_of(page, text_of(page)):
        for command in re.findall(r"pip install (.+)", block.text):
            words = re.split(r"&&|;", command)[0].split()
            wrong = [word for word in words if re.match(r"['\"]?replayt\b", word)]
            assert not wrong, f"{block.where}: {command}"


@each_page
def test_the_tone_is_plain(page: str) -> None:
    """What replayt is not; issue 7 has the list of words."""
    bad = (
        r"\b(agents?|agentic|workforce|intelligen\w+|autonom\w+|magic\w*|revolution\w*|seamless\w*|"
    )
    bad += r"powerful|blazing\w*|effortless\w*|cutting-edge|next-generation|game-chang\w+)\b"
    found = re.findall(bad, text_of(page), flags=re.IGNORECASE)
    assert not found, f"{page}: {found}"


def test_the_readme_names_every_package() -> None:
    readme = text_of("README.md")
    for member in MEMBERS.values():
        assert f"[`{member.name}`](packages/{member.name}/README.md)" in readme
