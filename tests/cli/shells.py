"""A person at a shell's prompt, who types and presses Tab: the real shells, on a terminal."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.cli.helpers import Shell, environment

PROMPT = "ready> "
_CONTROLS = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07)|[\x07\r]")
_END = "--- and the next line"
_STARTS = {
    "bash": ["--noprofile", "--norc", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
_PLAIN = {
    "bash": f"PS1='{PROMPT}'; bind 'set enable-bracketed-paste off'; ",
    "zsh": f"PS1='{PROMPT}'; unset zle_bracketed_paste; unsetopt prompt_cr prompt_sp; ",
    "fish": f"function fish_prompt; echo -n '{PROMPT}'; end; set fish_autosuggestion_enabled 0; ",
}
_TAUGHT = {
    "bash": 'eval "$(replayt --show-completion bash)"; echo taught=$?',
    "zsh": 'eval "$(replayt --show-completion zsh)"; echo taught=$?',
    "fish": "replayt --show-completion fish | source; echo taught=$status",
}


def require(program: str) -> str:
    """The path of a shell; without it the test is skipped and says so."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def with_command(shell: Shell) -> dict[str, str]:
    """An environment in which `replayt` is this source, and home is the test's directory."""
    folder = shell.directory / "programs"
    if not folder.exists():
        program = f'#!/bin/sh\nexec "{sys.executable}" -m replayt_cli "$@"\n'
        shell.write("programs/replayt", program).chmod(0o755)
    env = environment(HOME=str(shell.directory), TERM="xterm", LC_ALL="C.UTF-8")
    env["PATH"] = f"{folder}:{env['PATH']}"
    env.pop("XDG_CONFIG_HOME", None)
    return env


class Prompt:
    """An interactive shell that has been taught to complete."""

    def __init__(self, shell: Shell, program: str) -> None:
        import pexpect

        path = require(program)
        self._child = pexpect.spawn(
            path,
            _STARTS[program],
            cwd=shell.directory,
            env=with_command(shell),
            encoding="utf-8",
            dimensions=(50, 300),
            timeout=60,
        )
        self._child.sendline(_PLAIN[program] + _TAUGHT[program])
        self._child.expect(r"taught=(\d)\s")
        assert self._child.match[1] == "0"
        self._child.expect(PROMPT)
        self.program = program

    def __enter__(self) -> Prompt:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)

    def completed(self, typed: str) -> str:
        """What the line has become after Tab, its words quoted where they need it.

        It is printed instead of being executed.
        """
        return shlex.join(self.words(typed))

    def words(self, typed: str, then: str = "") -> list[str]:
        """The words of the line after Tab, and what is typed `then`, as a program is given them."""
        self._child.send(f"{typed}\t{then}\x01printf '%s|' begin \x05 end\r")
        self._child.expect(r"begin\|([^\n]*?)\|end\|")
        words: str = self._child.match[1]
        self._child.expect(PROMPT)
        return words.split("|")

    def offered(self, typed: str) -> str:
        """What is shown below the line after a second Tab."""
        self._child.send(f"{typed}\t\t\x05\x15echo offered=$?\r")
        self._child.expect(r"([\s\S]*)offered=\d\s")
        shown: str = self._child.match[1]
        self._child.expect(PROMPT)
        return _CONTROLS.sub("", shown)


def fish_candidates(shell: Shell, *lines: str) -> list[list[list[str]]]:
    """For each line the words that fish offers at its end, each with its description."""
    fish = require("fish")
    env = with_command(shell)
    shown = subprocess.run(
        ["replayt", "--show-completion", "fish"], env=env, capture_output=True, check=True
    )
    script = shell.directory / "completion.fish"
    script.write_bytes(shown.stdout)
    asked = f"for line in $argv; complete -C $line; echo {_END}; end"
    done = subprocess.run(
        [fish, "--no-config", "-c", f"source {script}; {asked}", "--", *lines],
        cwd=shell.directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    *answers, _ = done.stdout.split(f"{_END}\n")
    return [[found.split("\t") for found in answer.splitlines()] for answer in answers]
