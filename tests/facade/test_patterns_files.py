"""SC-193. Patterns about the files themselves: redaction, tenants, SQL, shipping, a package."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import duckdb
import pytest

from replayt import MemoryStore, Runner, Workflow, resolve, verify
from replayt.examples import patterns
from replayt.examples.patterns.redaction import AlsoSecret, Pseudonyms
from replayt.examples.patterns.reusable_package.refund_desk import VERSION, Rules, make_workflow
from replayt.examples.patterns.tenants import Tenants
from replayt.llm import LLMClient, LLMSettings
from replayt.persistence import JSONLStore
from replayt.testing import LLMClientContract, MockLLMClient
from replayt_cli.main import main
from replayt_store.analytics import Analytics
from replayt_store.index import RunIndex

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(patterns.__file__).parent
KEY = bytes(range(32))


@pytest.fixture
def wf() -> Workflow:
    wf = Workflow("letters")
    wf.set_initial("ask")

    @wf.step("ask", to=["ask", "send"])
    def ask(ctx):
        ctx.llm.complete_text(messages=[{"role": "user", "content": "Now?"}])
        ctx.because("nobody was asked yet")
        if ctx.visit == 1:
            return "ask"
        return "send" if ctx.request_approval("send", summary=f"To {ctx.get('to')}?") else None

    @wf.step("send")
    def send(ctx):
        return None

    return wf


def mock() -> MockLLMClient:
    return MockLLMClient().enqueue("yes").enqueue("yes").enqueue("yes")


# --- redaction ------------------------------------------------------------------------------------


def test_an_id_enters_the_run_as_a_pseudonym_that_nobody_finds_by_trying(wf: Workflow) -> None:
    names = Pseudonyms(KEY)
    store = MemoryStore()
    inputs = names.replace({"to": "ada@analytical.engine.net", "n": 1}, ["to"])
    done = Runner(wf, store, llm_client=mock()).run(inputs)
    log = b"".join(event.line for event in store.read(done.run_id))
    assert b"analytical" not in log
    assert names.of("to", "ada@analytical.engine.net").encode() in log
    assert names.of("to", "x") == Pseudonyms(KEY).of("to", "x")
    different = {names.of("to", "x"), names.of("from", "x"), names.of("t", "ox")}
    different.add(Pseudonyms(KEY[::-1]).of("to", "x"))
    assert len(different) == 4


def test_a_value_is_never_passed_on_in_clear_by_mistake() -> None:
    names = Pseudonyms(KEY)
    with pytest.raises(KeyError, match="to"):
        names.replace({"tO": "ada"}, ["to"])
    with pytest.raises(TypeError, match="to is no text"):
        names.replace({"to": 7}, ["to"])
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(b"short")


def test_a_secret_that_no_client_knows_is_scrubbed_once_it_is_named(wf: Workflow) -> None:
    store = MemoryStore()
    client = AlsoSecret(mock(), ["db-password-4711"])
    done = Runner(wf, store, llm_client=client).run({"to": "me, with db-password-4711"})
    log = b"".join(event.line for event in store.read(done.run_id))
    assert done.status == "paused"
    assert b"me, with [secret]" in log
    assert not re.search(b"db-pass|word-4711", log)  # digits alone a digest may hold by chance


class TestAlsoSecret(LLMClientContract):
    """A client that names more secrets is still a client."""

    def make_client(self, provider: Any) -> LLMClient:
        settings = LLMSettings(provider.key, provider.base_url, "m")
        return AlsoSecret(settings.client(), ["db-password-4711"])


def test_the_gate_of_ci_finds_what_the_names_did_not(
    wf: Workflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("verify", "--secrets", "--all", "--log-dir", str(tmp_path))
    store = JSONLStore(tmp_path)
    clean = Pseudonyms(KEY).replace({"to": "ada@analytical.engine.net"}, ["to"])
    Runner(wf, store, llm_client=mock()).run(clean)
    assert main(command) == 0
    Runner(wf, store, llm_client=mock()).run({"to": "ada@analytical.engine.net"})
    assert main(command) == 1
    assert "e-mail address at $.payload.inputs.to" in capsys.readouterr().out


# --- tenants --------------------------------------------------------------------------------------

HOSTILE = [
    "..", ".", "/", "../../etc", "..\\..\\x", "/etc/passwd", "C:\\x", "a/b", "a\\b", "a\0b", "con",
    "nul.txt", "a" * 1000, "a.", "a ", " a", "A", "a", "ä", "a\u0308", "\u202ea", "~root", "$HOME",
    "-rf", "*", "é\ud800", "a\nb", ".index", "a" * 999, "\uff0e\uff0e\uff0f",
]  # fmt: skip


def test_no_id_leads_out_of_the_root_or_to_another_tenant(tmp_path: Path) -> None:
    root = tmp_path / "tenants"
    tenants = Tenants(root)
    found = {tenant: tenants.directory(tenant) for tenant in HOSTILE}
    assert len({str(path).lower() for path in found.values()}) == len(HOSTILE)
    for tenant, path in found.items():
        assert path.parent == root
        assert re.fullmatch(r"[a-z0-9-]{0,32}\.[0-9a-f]{32}", path.name)
        assert tenants.store(tenant).directory == path
        assert path.resolve() == root.resolve() / path.name
    assert sorted(found.values()) == list(tenants.directories())
    for wrong in ("", "a" * 1001):
        with pytest.raises(ValueError, match="1 to 1000 characters"):
            tenants.directory(wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="rights and links are those of POSIX")
def test_a_tenants_runs_are_for_nobody_else_and_never_behind_a_link(
    tmp_path: Path, wf: Workflow
) -> None:
    tenants = Tenants(tmp_path / "tenants")
    mask = os.umask(0)
    try:
        store = tenants.store("acme")
        Runner(wf, store, llm_client=mock()).run({"to": "ada"}, run_id="r1")
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tenants", store.directory)]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE(store.path("r1").stat().st_mode) == 0o600
    assert list(tenants.store("beta").run_ids()) == []

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    tenants.directory("gamma").symlink_to(elsewhere)
    with pytest.raises(PermissionError, match="is a link"):
        tenants.store("gamma")
    assert tenants.directory("gamma") not in list(tenants.directories())


def test_a_clean_up_is_per_tenant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wf = Workflow("short")
    wf.set_initial("only")
    wf.step("only")(lambda ctx: None)
    tenants = Tenants(tmp_path)
    for tenant in ("acme", "beta"):
        Runner(wf, tenants.store(tenant)).run({}, run_id="r1")
    words = ("--older-than", "0s", "--log-dir", str(tenants.directory("acme")))
    assert main(("gc", *words)) == 0
    assert list(tenants.store("acme").run_ids()) == []
    assert list(tenants.store("beta").run_ids()) == ["r1"]


# --- SQL and shipping -----------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path, wf: Workflow, monkeypatch: pytest.MonkeyPatch) -> JSONLStore:
    """Three runs: one answered, one that waits, one whose last line was cut short."""
    monkeypatch.chdir(tmp_path)
    store = JSONLStore(".replayt/runs")
    for run_id in ("r1", "r2", "r3"):
        Runner(wf, store, llm_client=mock()).run({"to": "ada"}, run_id=run_id)
    resolve(store, "r1", "send", approved=True)
    with store.path("r3").open("ab") as log:
        log.write(b'{"ts": "2026-')
    return store


def test_plain_duckdb_says_the_same_as_the_views(logs: JSONLStore) -> None:
    connection = duckdb.connect()
    answers: list[list[tuple[Any, ...]]] = []
    for statement in connection.extract_statements((FOLDER / "analytics.sql").read_text("utf-8")):
        answers.append(connection.execute(statement).fetchall())
    connection.close()
    _, moves, approvals = answers
    assert moves == [("ask", "ask", "nobody was asked yet", 3)]
    assert [row[:3] for row in approvals] == [("send", 1, 2)]
    with RunIndex.of(logs) as index:
        index.refresh()
        with Analytics(index, logs) as analytics:
            sql = "SELECT from_state, to_state, reason, count(*) AS n FROM transitions GROUP BY ALL"
            assert [tuple(row.values()) for row in analytics.query(sql).records()] == moves
            sql = "SELECT count(approved) AS yes, count(*) AS n FROM approvals"
            assert analytics.query(sql).records() == [{"yes": 1, "n": 3}]


def test_the_configuration_of_vector_fits_a_real_log(logs: JSONLStore) -> None:
    config = tomllib.loads((FOLDER / "vector.toml").read_text("utf-8"))
    source, events = config["sources"]["replayt"], config["transforms"]["events"]
    assert all(fnmatch(logs.path(run).as_posix(), source["include"][0]) for run in logs.run_ids())
    assert not fnmatch(".replayt/runs/.index/runs.sqlite3", source["include"][0])
    assert source["max_line_bytes"] > 102_400, "the default, above which lines are dropped"
    fields = set(re.findall(r"event\.(\w+)", events["source"]))
    assert fields == {"ts", "run_id", "seq", "type", "payload"}
    for event in logs.read("r1"):
        assert len(event.line) < source["max_line_bytes"]
        assert all(f'"{name}":'.encode() in event.line for name in fields)
    outputs = {"replayt", "events", "events.dropped"}
    parts = [*config["transforms"].values(), *config["sinks"].values()]
    assert {name for part in parts for name in part["inputs"]} == outputs


@pytest.mark.skipif(shutil.which("vector") is None, reason="Vector is not installed here")
def test_vector_itself_accepts_the_configuration(tmp_path: Path) -> None:
    command = ["vector", "validate", "--no-environment", str(FOLDER / "vector.toml")]
    env = {**os.environ, "COLLECTOR_URL": "http://127.0.0.1:9/"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


# --- a reusable package ---------------------------------------------------------------------------


def desk(cashier: Callable[[str, int, str], str]) -> Workflow:
    return make_workflow(rules=Rules(days=14, ask_from_cents=5_000), cashier=cashier)


@pytest.mark.parametrize(
    ("cents", "days", "status", "ends_in"),
    [
        (4_999, 14, "completed", "refund"),
        (4_999, 15, "completed", "decline"),
        (5_000, 14, "paused", "ask_person"),
    ],
)
def test_a_shop_brings_its_rules(cents: int, days: int, status: str, ends_in: str) -> None:
    wf = desk(lambda order, cents, key: f"paid {order}")
    done = Runner(wf, MemoryStore()).run({"order": "A-1", "cents": cents, "days": days})
    assert (done.status, done.final_state) == (status, ends_in)


def test_a_shop_brings_its_cashier_and_verify_needs_none() -> None:
    paid: list[tuple[str, int, str]] = []

    def cashier(order: str, cents: int, key: str) -> str:
        paid.append((order, cents, key))
        return "TX-1"

    store = MemoryStore()
    done = Runner(desk(cashier), store).run({"order": "A-1", "cents": 100, "days": 1})
    assert (done.context["reference"], len(paid)) == ("TX-1", 1)
    assert verify(desk(cashier), store.read(done.run_id)).ok
    assert len(paid) == 1

    def broken(order: str, cents: int, key: str) -> str:
        raise OSError("the bank is closed")

    failed = Runner(desk(broken), store).run({"order": "A-1", "cents": 100, "days": 1})
    assert (failed.status, failed.final_state) == ("completed", "ask_accounting")


def test_the_graph_is_clean_and_bad_rules_are_refused() -> None:
    assert desk(lambda order, cents, key: "").check() == []
    with pytest.raises(ValueError, match="not negative"):
        Rules(days=-1)


@pytest.mark.slow
def test_an_application_installs_the_wheel_and_uses_it(tmp_path: Path) -> None:
    """The wheel alone, outside this tree; the application has replayt-core already."""
    source = tmp_path / "source"
    shutil.copytree(
        FOLDER / "reusable_package", source, ignore=shutil.ignore_patterns("__pycache__")
    )
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("refund_desk-*.whl")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True, capture_output=True)
    program = (
        "from importlib.metadata import version\n"
        "from replayt_core import MemoryStore, Runner\n"
        "import refund_desk\n"
        "wf = refund_desk.make_workflow(rules=refund_desk.Rules(), "
        "cashier=lambda order, cents, key: 'TX-1')\n"
        "done = Runner(wf, MemoryStore()).run({'order': 'A', 'cents': 1, 'days': 1})\n"
        "print(version('refund-desk'), wf.version, done.status, done.context['reference'])\n"
        "print(refund_desk.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first == f"2.1.0 {VERSION} completed TX-1"
    assert Path(second).is_relative_to(site)
    assert (site / "refund_desk" / "py.typed").is_file()
