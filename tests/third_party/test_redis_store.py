"""A store by someone else: built, installed beside the core alone, checked, and used by `replayt`.

It depends on replayt-core and on the client of its database; the command finds it by its URL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installed import INSTALL_SECONDS, Venv, Workshop, build, run
from tests.third_party.redis_server import MISSING, PROGRAM, RedisServer, running_redis
from tests.workspace.helpers import MEMBERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(INSTALL_SECONDS),
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]
PACKAGE = Path(__file__).with_name("replayt-redis-store")
SIBLINGS = set(MEMBERS) - {"replayt-core"}

FLOW = """
from replayt import Workflow

wf = Workflow("gate")
wf.set_initial("ask")


@wf.step("ask", to=["done"])
def ask(ctx):
    if not ctx.is_approved("ship"):
        ctx.request_approval("ship", summary="Ship it?")
    return "done"


@wf.step("done")
def done(ctx):
    ctx.set("shipped", True)
    return None
"""


DIES = """
import os
import signal
from pathlib import Path

from replayt import Workflow

wf = Workflow("dies")
wf.set_initial("a")


@wf.step("a")
def a(ctx):
    if not Path("lives").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return None
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the third party's package."""
    path = tmp_path_factory.mktemp("dist")
    build(PACKAGE, path, "-t", "wheel")
    (built,) = path.iterdir()
    return built


@pytest.fixture(scope="module")
def theirs(wheel: Path, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """Their wheel with the core's and pytest, and nothing else of ours."""
    venv = Venv(tmp_path_factory.mktemp("theirs") / "venv").make(workshop.core())
    venv.install(wheel, "pytest>=8.2")
    return venv


@pytest.fixture(scope="module")
def everything(wheel: Path, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Venv:
    venv = Venv(tmp_path_factory.mktemp("all") / "venv").make(workshop.everything())
    venv.install(wheel)
    return venv


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as started:
        yield started


def test_it_needs_the_core_and_its_client_alone(wheel: Path, theirs: Venv) -> None:
    """SC-103, from outside: no sibling is needed to write a store."""
    assert {"redis", "replayt-core", "replayt-redis-store"} <= theirs.installed()
    assert not SIBLINGS & theirs.installed()
    with zipfile.ZipFile(wheel) as archive:
        assert "replayt_redis_store/py.typed" in archive.namelist()


def test_it_passes_the_kit_with_the_core_alone(
    theirs: Venv, server: RedisServer, tmp_path: Path
) -> None:
    """Their own test suite, as they would run it: pytest class and plain function."""
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("pyproject.toml", "tests/test_contract.py"):
        (tmp_path / name).write_bytes((PACKAGE / name).read_bytes())
    done = subprocess.run(
        [str(theirs.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env={**_environment(), "REDIS_URL": server.url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_a_workflow_runs_in_it_and_outlives_the_server(
    everything: Venv, server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "flow.py").write_text(FLOW, encoding="utf-8")

    def replayt(*arguments: str) -> tuple[int, str, str]:
        done = run(
            everything.python,
            *("-m", "replayt"),
            *arguments,
            *("--store", server.url),
            cwd=tmp_path,
            check=False,
        )
        assert server.password not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    code, out, _ = replayt("run", "flow.py", "--run-id", "r1")
    assert (code, "waits for approval ship" in out) == (2, True)
    assert f"--store '{server.url.replace(server.password, '***')}'" in out
    code, _, _ = replayt("resume", "flow.py", "r1", "--approval", "ship")
    assert code == 0

    # Without locks nobody can tell that the killed process is dead, so the user has to say it.
    (tmp_path / "dies.py").write_text(DIES, encoding="utf-8")
    code, _, _ = replayt("run", "dies.py", "--run-id", "r3")
    assert code == -signal.SIGKILL
    (tmp_path / "lives").touch()
    code, _, err = replayt("resume", "dies.py", "r3")
    assert (code, "--take-over" in err) == (75, True)
    assert replayt("resume", "dies.py", "r3", "--take-over")[0] == 0

    server.kill()
    code, out, err = replayt("run", "flow.py", "--run-id", "r2")
    assert (code, out) == (74, "")
    assert "127.0.0.1" in err

    server.start()
    code, out, _ = replayt("inspect", "r1", "--output", "json")
    assert (code, json.loads(out)["summary"]["status"]) == (0, "completed")
    code, out, _ = replayt("runs", "--output", "json")
    assert code == 0
    assert {each["run_id"] for each in json.loads(out)["runs"]} == {"r1", "r3"}
    assert replayt("verify", "r1", "--target", "flow.py")[0] == 0
    assert not list(tmp_path.glob(".replayt*"))


def _environment() -> dict[str, str]:
    hidden = ("PYTHONPATH", "OPENAI_", "REPLAYT_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
