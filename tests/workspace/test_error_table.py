"""The table of common errors in docs/installation.md: each message is printed as it says there."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from replayt.persistence import JSONLStore
from tests.cli.helpers import ASKS_MODEL, FAILS, GATE, HELLO, environment
from tests.forked.programs import python
from tests.llm.helpers import Script, answer, hostile, sends
from tests.workspace.helpers import ROOT
from tests.workspace.pages import WILDCARD

PAGE = ROOT / "docs/installation.md"
NOT_PRODUCED = "¹"
NOWHERE = "http://127.0.0.1:9"
"""The discard service, which nobody offers any more: connecting is refused."""
ANSWERING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
KEY = {"OPENAI_API_KEY": "k-not-a-key"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: what is printed, how the command ends, and whether a test produces it."""

    message: str
    code: str
    produced: bool


@dataclass(frozen=True, kw_only=True)
class Said:
    """All that a command printed, and its exit code."""

    code: int
    text: str


def rows() -> list[Row]:
    """The table, from top to bottom."""
    table = PAGE.read_text(encoding="utf-8").partition("## Common errors")[2]
    found = re.findall(r"^\| `([^`]+)`( ¹)? \| (\d*) ?\|", table, flags=re.MULTILINE)
    return [Row(message=text, code=code, produced=not mark) for text, mark, code in found]


class Place:
    """An empty directory and what is done in it."""

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        self.directory = directory
        self._opened = opened
        ours = environment()
        self._env = {name: ours[name] for name in ours if name.upper() not in ANSWERING}
        for name, text in (("hello.py", HELLO), ("gate.py", GATE), ("ask.py", ASKS_MODEL)):
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def replayt(self, *words: str, **env: str) -> Said:
        """The command."""
        return self.program(python(self._env), "-m", "replayt_cli", *words, **env)

    def done(self, *words: str, code: int = 0) -> None:
        """What has to have happened before."""
        assert self.replayt(*words).code == code

    def program(self, *words: str | Path, **env: str) -> Said:
        """A program in a process of its own, without key, proxy and certificates of ours."""
        ended = subprocess.run(
            words,
            cwd=self.directory,
            env={**self._env, **env},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return Said(code=ended.returncode, text=ended.stdout + ended.stderr)

    def without(self, module: str, *words: str) -> Said:
        """The command where a module is not installed."""
        problem = f"raise ModuleNotFoundError({f'No module named {module!r}'!r}, name={module!r})"
        self.write(f"hidden/{module}.py", f"{problem}\n")
        return self.replayt(*words, PYTHONPATH="hidden")

    def asked(self, **env: str) -> Said:
        """A run that asks a model."""
        return self.replayt("run", "ask.py", **env)

    def refused(self, status: str) -> Said:
        """A run that asks a server which answers so."""
        script = sends(answer(b'{"error": {"message": "no"}}', status=status))
        return self.asked(**KEY, OPENAI_BASE_URL=self.server(script))

    def server(self, script: Script, *, tls: ssl.SSLContext | None = None) -> str:
        """The base URL of a server that follows a script until the test ends."""
        return self._opened.enter_context(hostile(script, tls=tls)).base_url

    def locked(self, run_id: str) -> None:
        """This process executes the run, as far as others can tell."""
        self._opened.enter_context(JSONLStore(self.directory / ".replayt/runs").lock(run_id))

    def pip(self, *words: str | Path) -> Said:
        """pip, without an index and without installing anything."""
        if find_spec("pip") is None or find_spec("hatchling") is None:
            pytest.skip("needs pip and hatchling in this environment")
        options = ("--dry-run", "--no-index", "--no-build-isolation", "--ignore-installed")
        return self.program(sys.executable, "-m", "pip", "install", *options, *words)


Produces = Callable[[Place], Said]
PRODUCED: dict[str, Produces] = {}


def produces(message: str) -> Callable[[Produces], Produces]:
    """Says which row a function produces."""

    def add(function: Produces) -> Produces:
        assert message not in PRODUCED
        PRODUCED[message] = function
        return function

    return add


# --- installing -----------------------------------------------------------------------------------


@produces("replayt: command not found")
def _(place: Place) -> Said:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    return place.program(bash, "-c", "replayt --version", PATH=str(place.directory))


@produces("No module named replayt")
def _(place: Place) -> Said:
    return place.program(sys.executable, "-I", "-S", "-m", "replayt")


@produces("externally-managed-environment")
def _(place: Place) -> Said:
    system = Path("/usr/bin/python3")
    has_pip = system.exists() and place.program(system, "-m", "pip", "--version").code == 0
    if not has_pip or not list(Path("/usr/lib").glob("python3*/EXTERNALLY-MANAGED")):
        pytest.skip("needs a system's Python with pip that the system keeps to itself")
    core = ROOT / "packages/replayt-core"
    return place.program(system, "-m", "pip", "install", "--dry-run", "--no-index", core)


@produces("there is nothing to install here")
def _(place: Place) -> Said:
    return place.pip(ROOT)


@produces("No matching distribution found for replayt-core")
def _(place: Place) -> Said:
    return place.pip(ROOT / "packages/replayt-store")


@produces("PyYAML is missing: install the yaml extra")
def _(place: Place) -> Said:
    place.write("flow.yaml", "name: flow\n")
    return place.without("yaml", "run", "flow.yaml")


@produces("statistics and SQL need DuckDB")
def _(place: Place) -> Said:
    place.done("run", "hello.py")
    return place.without("duckdb", "stats")


# --- model calls ----------------------------------------------------------------------------------


@produces("OPENAI_API_KEY is not set: a model call to … needs a key")
def _(place: Place) -> Said:
    return place.asked()


@produces("unknown provider 'opneai': use one of openai, …")
def _(place: Place) -> Said:
    return place.asked(REPLAYT_PROVIDER="opneai")


@produces("answered 401 (auth). Check the API key")
def _(place: Place) -> Said:
    return place.refused("401 Unauthorized")


@produces("answered 404 (not_found). … Check base_url")
def _(place: Place) -> Said:
    return place.refused("404 Not Found")


@produces("CERTIFICATE_VERIFY_FAILED…name its file in SSL_CERT_FILE")
def _(place: Place) -> Said:
    """SC-68. Named in the variable, the same authority is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ROOT / "tests/llm/localhost.pem")
    url = place.server(sends(answer(b"{}", status="401 No")), tls=context)
    url = url.replace("http://127.0.0.1", "https://localhost")
    authority = str(ROOT / "tests/llm/localhost-ca.pem")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        trusted = place.asked(**KEY, OPENAI_BASE_URL=url, **{name: authority})
        assert "answered 401" in trusted.text
    return place.asked(**KEY, OPENAI_BASE_URL=url)


@produces("SSL_CERT_FILE names …, which is no readable file of certificates")
def _(place: Place) -> Said:
    return place.asked(**KEY, SSL_CERT_FILE="corporate.pem")


@produces("REQUESTS_CA_BUNDLE names …, which is no readable file of certificates")
def _(place: Place) -> Said:
    return place.asked(**KEY, REQUESTS_CA_BUNDLE="hello.py")


@produces("cannot connect (the proxy of the environment refused)")
def _(place: Place) -> Said:
    proxy = place.server(sends(answer(b"", status="403 Forbidden"))).removesuffix("/v1")
    return place.asked(**KEY, HTTPS_PROXY=proxy)


@produces("the proxy settings of the environment cannot be used")
def _(place: Place) -> Said:
    return place.asked(**KEY, HTTPS_PROXY="nonsense://proxy")


@produces("cannot connect (…). Is the server running, and base_url right?")
def _(place: Place) -> Said:
    through_proxy = place.asked(**KEY, HTTPS_PROXY=NOWHERE)
    assert "Is the server running" in through_proxy.text
    return place.asked(REPLAYT_PROVIDER="ollama", OPENAI_BASE_URL=f"{NOWHERE}/v1")


@produces("is plain http to another machine")
def _(place: Place) -> Said:
    return place.asked(**KEY, OPENAI_BASE_URL="http://models.example/v1")


# --- targets, inputs, places ----------------------------------------------------------------------


@produces("no such file; use module:variable, a .py file")
def _(place: Place) -> Said:
    return place.replayt("run", "nothere.py")


@produces("no module nothere here or among the installed packages")
def _(place: Place) -> Said:
    return place.replayt("run", "nothere:wf")


@produces("'hello' is no target: perhaps hello.py; use module:variable")
def _(place: Place) -> Said:
    return place.replayt("run", "hello")


@produces("cannot be loaded: ModuleNotFoundError: No module named …")
def _(place: Place) -> Said:
    place.write("needy.py", "import nothing_of_that_name\n")
    return place.replayt("run", "needy.py")


@produces("--inputs-json is not valid JSON")
def _(place: Place) -> Said:
    return place.replayt("run", "hello.py", "--inputs-json", "{name: Ada}")


@produces("there is no key 'log_directory'; did you mean log_dir?")
def _(place: Place) -> Said:
    place.write(".replaytrc.toml", 'log_directory = "logs"\n')
    return place.replayt("runs")


@produces("no store is known for redis://")
def _(place: Place) -> Said:
    return place.replayt("run", "hello.py", "--store", "redis://localhost")


@produces("no run 'nope' in this store")
def _(place: Place) -> Said:
    return place.replayt("inspect", "nope")


@produces("nothing to check, which is no pass")
def _(place: Place) -> Said:
    return place.replayt("verify", "--all")


@produces(r"Gr\xfc\xdfe \u2713")
def _(place: Place) -> Said:
    place.write("greets.py", HELLO.replace("everybody is greeted", "Grüße ✓"))
    place.done("run", "greets.py", "--run-id", "g")
    assert "Grüße ✓" in (place.directory / ".replayt/runs/g.jsonl").read_text(encoding="utf-8")
    return place.replayt("replay", "g", PYTHONIOENCODING="ascii")


# --- runs -----------------------------------------------------------------------------------------


@produces("status=paused")
def _(place: Place) -> Said:
    return place.replayt("run", "gate.py")


@produces("run … exists; a used run id is never started again")
def _(place: Place) -> Said:
    place.done("run", "hello.py", "--run-id", "h")
    return place.replayt("run", "hello.py", "--run-id", "h")


@produces("run … is being executed (… is locked)")
def _(place: Place) -> Said:
    place.done("run", "gate.py", "--run-id", "g", code=2)
    place.locked("g")
    return place.replayt("resume", "gate.py", "g", "--approval", "publish")


@produces("is completed; it is never run again")
def _(place: Place) -> Said:
    place.done("run", "hello.py", "--run-id", "h")
    return place.replayt("resume", "hello.py", "h")


@produces("has failed; to try its last state again, use --retry-failed")
def _(place: Place) -> Said:
    place.write("fails.py", FAILS)
    place.done("run", "fails.py", "--run-id", "f", code=1)
    return place.replayt("resume", "fails.py", "f")


@produces("the workflow is not the one that was recorded: version '1' is now '2'")
def _(place: Place) -> Said:
    place.done("run", "gate.py", "--run-id", "g", code=2)
    place.write("gate.py", GATE.replace('version="1"', 'version="2"'))
    return place.replayt("resume", "gate.py", "g", "--approval", "publish")


@produces("the log of run … is damaged")
def _(place: Place) -> Said:
    place.done("run", "gate.py", "--run-id", "g", code=2)
    log = place.directory / ".replayt/runs/g.jsonl"
    log.write_bytes(log.read_bytes().replace(b"Publish it?", b"Publish IT?"))
    return place.replayt("resume", "gate.py", "g", "--approval", "publish")


@produces("cannot write the log of run …: a part of the path is no directory")
def _(place: Place) -> Said:
    place.write("file", "")
    return place.replayt("run", "hello.py", "--log-dir", "file/runs")


@produces("cannot write the log of run …: the file has reached the size limit")
def _(place: Place) -> Said:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash, whose ulimit sets the limit of a process")
    name = "x" * 4000
    command = (
        f'ulimit -f 1; exec "{sys.executable}" -m replayt_cli run hello.py --input name={name}'
    )
    return place.program(bash, "-c", command)


@produces("timed out after … s; to try its last state again")
def _(place: Place) -> Said:
    waits = HELLO.replace("    ctx.because", "    import time\n    time.sleep(60)\n    ctx.because")
    place.write("waits.py", waits)
    return place.replayt("run", "waits.py", "--timeout", "0.1")


# --- the test -------------------------------------------------------------------------------------


@contextmanager
def empty_place(directory: Path) -> Iterator[Place]:
    with ExitStack() as opened:
        yield Place(directory, opened)


@pytest.mark.skipif(os.name == "nt", reason="locks, limits and shells are those of POSIX")
@pytest.mark.parametrize(
    "row", [row for row in rows() if row.produced], ids=lambda row: row.message
)
def test_each_message_is_printed_as_the_table_says(row: Row, tmp_path: Path) -> None:
    with empty_place(tmp_path) as place:
        said = PRODUCED[row.message](place)
    pattern = re.escape(row.message).replace(re.escape(WILDCARD), "[^\n]*")
    assert re.search(pattern, said.text), said.text
    assert str(said.code) == row.code, said.text
    if "pip" not in said.text:
        assert "Traceback" not in said.text


def test_the_rows_that_are_produced_and_those_that_say_why_not_are_counted() -> None:
    produced = [row.message for row in rows() if row.produced]
    assert sorted(produced) == sorted(PRODUCED), "a row without a producer, or the other way round"
    assert len(produced) >= 15
    marked = [row.message for row in rows() if not row.produced]
    assert len(marked) == 3
    lines = PAGE.read_text(encoding="utf-8").partition("| It prints |")[2].splitlines()
    in_table = [line for line in lines[2:] if line.startswith("|")]
    assert len(in_table) == len(rows()), "a row that this test cannot read"
