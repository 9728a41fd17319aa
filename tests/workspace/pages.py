"""The fenced blocks of a Markdown page, and running them as a reader would, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.forked.programs import programs
from tests.forked.programs import python as forked_python

NOT_RUN = re.compile(r"_Not run by the tests?\b[^:\n]*: (?P<reason>[^\n]+)_")
"""The visible mark that excuses the block after it: it stands alone on the last line before."""
SHELL = {"sh", "shell", "bash", "console", "powershell", "bat", "cmd"}
PYTHON = {"python", "py", "pycon"}
EXPECTED_CODE = re.compile(r"#\s*exits with (\d+)\s*$")
FILE_NAME = re.compile(r"#\s*([A-Za-z0-9_]+\.(?:py|yaml))\s*\n")
WILDCARD = "…"
"""In the expected output of a block: see `fits`."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block. `output` is the `text` block right after it: what it has to print."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None
    output: str | None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runnable(self) -> bool:
        if self.language == "yaml":  # a file that a later block reads
            return FILE_NAME.match(self.text) is not None
        return self.language in SHELL | PYTHON


def blocks_of(page: str, markdown: str) -> list[Block]:
    """Every fenced block of a page in order. A fence that is never closed is an error."""
    found: list[Block] = []
    lines = markdown.splitlines()
    number = 0
    while number < len(lines):
        opening = re.match(r"( *)(```+)\s*([A-Za-z]*)", lines[number])
        if not opening:
            number += 1
            continue
        close = opening[1] + opening[2]
        end = next((n for n in range(number + 1, len(lines)) if lines[n] == close), None)
        assert end is not None, f"{page}:{number + 1}: this block is never closed"
        before = next((line for line in reversed(lines[:number]) if line.strip()), "")
        mark = NOT_RUN.fullmatch(before.strip())
        found.append(
            Block(
                page=page,
                line=number + 1,
                language=opening[3].lower(),
                text="\n".join(lines[number + 1 : end]) + "\n",
                not_run=mark["reason"] if mark else None,
                output=_output_after(lines, end),
            )
        )
        number = end + 1
    return found


def _output_after(lines: list[str], end: int) -> str | None:
    """The `text` block below, with at most one sentence of prose in between."""
    for number in range(end + 1, min(end + 5, len(lines))):
        if lines[number] == "```text":
            return "\n".join(lines[number + 1 : lines.index("```", number)]) + "\n"
        if lines[number].startswith(("```", "#")):
            return None
    return None


class Reader:
    """Someone who types a page's blocks into one directory, in order, without any key.

    What is installed beside `python` is what the reader has: by default all that this test has.
    """

    def __init__(self, folder: Path, python: Path | None = None) -> None:
        self._folder = folder
        hidden = ("OPENAI_", "REPLAYT_", "PYTHONPATH", "VIRTUAL_ENV")
        self._env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        if python is None and "PYTHONPATH" in os.environ:  # an uninstalled checkout
            self._env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        self._env["PYTHONDONTWRITEBYTECODE"] = "1"
        if python is None:
            self._program = forked_python(self._env)
            folders = [programs(self._env), Path(sys.executable).parent]
        else:
            self._program = str(python)
            folders = [python.parent]
        self._env["PATH"] = os.pathsep.join([*map(str, folders), self._env.get("PATH", "")])
        self.took: dict[str, float] = {}

    def run(self, block: Block) -> None:
        """Do what a block says and compare with what the page says comes of it."""
        started = time.monotonic()
        if block.language == "yaml":
            self._write(block)
            return
        printed = self._python(block) if block.language in PYTHON else self._shell(block)
        self.took[block.where] = time.monotonic() - started
        if block.output is not None:
            assert fits(block.output, printed), (
                f"{block.where} should print\n{block.output}\nbut prints\n{printed}"
            )

    def _python(self, block: Block) -> str:
        return self._call(block, [self._program, self._write(block)], 0)

    def _write(self, block: Block) -> str:
        named = FILE_NAME.match(block.text)
        name = named[1] if named else f"block_{block.line}.py"
        (self._folder / name).write_text(block.text, encoding="utf-8")
        return name

    def _shell(self, block: Block) -> str:
        printed = ""
        for command in re.sub(r"\\\n\s*", "", block.text).splitlines():
            if exported := re.fullmatch(r"export ([A-Z_]+)=(\S*)", command):
                self._env[exported[1]] = exported[2]
            elif command.strip():
                code = EXPECTED_CODE.search(command)
                expected = int(code[1]) if code else 0
                printed += self._call(block, ["bash", "-c", command], expected)
        return printed

    def _call(self, block: Block, command: list[str], expected: int) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode == expected, (
            f"{block.where}: {command[-1]}\nexited with {done.returncode}, the page says "
            f"{expected}\n{done.stdout}{done.stderr}"
        )
        return done.stdout


def fits(expected: str, printed: str) -> bool:
    """Whether output is what a page shows: `…` is any text, a line of its own any lines or none."""
    lines = [
        r"(?:\n[^\n]*)*"
        if line == WILDCARD
        else "\n" + re.escape(line).replace(WILDCARD, r"[^\n]+")
        for line in expected.rstrip().split("\n")
    ]
    return re.fullmatch("".join(lines), "\n" + printed.rstrip()) is not None


def local_links(markdown: str) -> list[str]:
    """The targets of links that lead to files of this repository."""
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(markdown: str) -> set[str]:
    """The anchors of a page's headings, as repositories make them."""
    headings = re.findall(r"^#+ (.+)$", markdown, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in headings}
