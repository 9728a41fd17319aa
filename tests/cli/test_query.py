"""`replayt query`."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.helpers import Shell, on_terminal, one_line
from tests.cli.logs import Call, damage, record

HOSTILE = "\x1b]0;owned\x07\u202eevil"


def some_runs(shell: Shell) -> None:
    record("a", tags={"env": "ci"}, calls=[Call(latency_ms=100), Call(latency_ms=300)])
    record("b", status="failed")
    record("c", status="paused")


def ask(shell: Shell, sql: str, *words: str) -> object:
    return shell.call("query", sql, "-o", "json", *words).json


def test_every_view_can_be_asked(shell: Shell) -> None:
    some_runs(shell)
    counted = {
        view: ask(shell, f"SELECT count(*) AS n FROM {view}")  # noqa: S608
        for view in (
            "runs",
            "events",
            "states",
            "transitions",
            "llm_calls",
            "tool_calls",
            "approvals",
        )
    }
    assert counted["runs"] == [{"n": 3}]
    assert counted["events"] == [{"n": sum(len(shell.events(run_id)) for run_id in "abc")}]
    assert counted["states"] == [{"n": 6}]
    assert counted["transitions"] == [{"n": 3}]
    assert counted["llm_calls"] == [{"n": 2}]
    assert counted["tool_calls"] == counted["approvals"] == [{"n": 0}]


def test_a_table_for_people(shell: Shell) -> None:
    some_runs(shell)
    ended = shell.call("query", "SELECT run_id, status, NULL AS x FROM runs ORDER BY run_id")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()] == [
        ["run_id", "status", "x"],
        ["a", "completed", "-"],
        ["b", "failed", "-"],
        ["c", "paused", "-"],
        ["(3", "rows)"],
    ]


def test_numbers_stand_to_the_right(shell: Shell) -> None:
    record("a")
    out = shell.call("query", "SELECT * FROM (VALUES (1, 'x'), (1000, 'yy')) t(n, s)").out
    assert out.splitlines()[:3] == ["   n  s", "   1  x", "1000  yy"]


def test_json_lines_and_csv(shell: Shell) -> None:
    some_runs(shell)
    sql = "SELECT run_id, status FROM runs ORDER BY run_id"
    rows = [("a", "completed"), ("b", "failed"), ("c", "paused")]
    documents = [{"run_id": run_id, "status": status} for run_id, status in rows]
    assert ask(shell, sql) == documents
    assert shell.call("query", sql, "--format", "json").json == documents
    lines = shell.call("query", sql, "-f", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == documents
    read = list(csv.reader(io.StringIO(shell.call("query", sql, "-f", "csv").out)))
    assert [tuple(row) for row in read] == [("run_id", "status"), *rows]


def test_csv_keeps_what_a_value_holds(shell: Shell) -> None:
    record("a")
    sql = "SELECT 'a, \"b\"' || chr(10) || 'c' AS x, NULL AS y, [1, 2] AS z"
    out = shell.call("query", sql, "-f", "csv").out
    assert list(csv.reader(io.StringIO(out))) == [["x", "y", "z"], ['a, "b"\nc', "", "[1, 2]"]]


def test_sql_from_standard_input_and_from_a_file(shell: Shell) -> None:
    some_runs(shell)
    sql = "SELECT count(*) AS n\nFROM runs\n"
    shell.write("count.sql", sql)
    assert shell.call("query", "@count.sql", "-o", "json").json == [{"n": 3}]
    assert shell.process("query", "-", "-o", "json", stdin=sql).json == [{"n": 3}]


def test_parquet_csv_and_jsonl_go_to_a_file(shell: Shell) -> None:
    duckdb = pytest.importorskip("duckdb")
    some_runs(shell)
    sql = "SELECT run_id, llm_calls FROM runs ORDER BY run_id"
    readers = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}
    for form, reader in readers.items():
        ended = shell.call("query", sql, "--format", form, "--out", f"out.{form}")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out == f"wrote 3 rows to out.{form}\n"
        with duckdb.connect() as database:
            rows = database.execute(f"SELECT * FROM {reader}('out.{form}')").fetchall()  # noqa: S608
        assert rows == [("a", 2), ("b", 0), ("c", 0)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT nosuch FROM runs",
        "SELECT * FROM nosuch",
        "",
        "SELECT 1; SELECT 2",
        "DROP VIEW runs",
        "DELETE FROM runs",
        "CREATE TABLE x AS SELECT 1",
        "COPY runs TO 'stolen.csv'",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM read_text('flow.py')",
        "SELECT * FROM 'flow.py'",
        "SELECT * FROM read_csv('/etc/passwd')",
    ],
)
def test_sql_that_is_wrong_or_refused_is_one_line_and_64(shell: Shell, sql: str) -> None:
    record("a")
    shell.write("flow.py", "x = 1\n")
    before = sorted(path.name for path in shell.directory.iterdir())
    ended = shell.call("query", sql)
    assert ended.code == 64, ended.err
    assert one_line(ended)
    assert sorted(path.name for path in shell.directory.iterdir()) == before


def test_a_query_that_deletes_inside_a_select_changes_nothing(shell: Shell) -> None:
    some_runs(shell)
    shell.call("query", "WITH d AS (DELETE FROM runs RETURNING *) SELECT * FROM d")
    assert ask(shell, "SELECT count(*) AS n FROM runs") == [{"n": 3}]
    assert len(shell.call("runs", "-o", "json").json["runs"]) == 3


def test_the_time_limit_ends_it_with_1(shell: Shell) -> None:
    record("a")
    sql = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
    ended = shell.call("query", sql, "--timeout", "0.2")
    assert ended.code == 1
    assert "0.2" in one_line(ended)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the processor time of a process")
def test_ctrl_c_ends_it_with_130_and_no_word(shell: Shell) -> None:
    """DuckDB 1.5 used to work on while its connection was closed; `_database` says how."""
    record("a")
    sql = "SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
    process = shell.start("query", sql)
    # DuckDB's threads are there before the query, and little comes between. Where it has none, on
    # one processor: starting takes a second at most. The query never ends. Ticks are 10 ms.
    enough = 200
    while process.poll() is None and (used := cpu_ticks(process.pid)) < enough:
        if enough == 200 and len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1:
            enough = used + 50
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def cpu_ticks(pid: int) -> int:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_limit_is_told(shell: Shell) -> None:
    record("a")
    sql = "SELECT range AS n FROM range(1000)"
    ended = shell.call("query", sql)
    assert len(ended.out.splitlines()) == 202
    assert "first 200 rows" in ended.err
    assert len(json.loads(shell.call("query", sql, "-o", "json").out)) == 1000
    short = shell.call("query", sql, "-o", "json", "--limit", "3")
    assert short.json == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert "first 3 rows" in short.err
    assert shell.call("query", sql, "--limit", "1000").err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "xml"], "xml"),
        (["--format", "parquet"], "--out"),
        (["--out", "x"], "--format"),
        (["--out", "x", "-o", "json"], "--format"),
        (["--format", "csv", "-o", "json"], "contradict"),
        (["--format", "csv", "--out", ""], "--out"),
        (["--format", "csv", "--out", "x", "--limit", "3"], "LIMIT"),
        (["--limit", "0"], "--limit"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "soon"], "--timeout"),
        (["--sqlite", "x", "--log-dir", "y"], "one of them"),
    ],
)
def test_a_wrong_command_line_is_64(shell: Shell, words: list[str], said: str) -> None:
    ended = shell.call("query", "SELECT 1", *words)
    assert ended.code == 64
    assert said in one_line(ended)
    assert list(shell.directory.iterdir()) == []


@pytest.mark.parametrize(("sql", "said"), [("@nosuch.sql", "nosuch.sql"), ("@bytes", "UTF-8")])
def test_sql_that_cannot_be_read_is_64(shell: Shell, sql: str, said: str) -> None:
    shell.directory.joinpath("bytes").write_bytes(b"\xff\xfe\xff")
    ended = shell.call("query", sql)
    assert ended.code == 64
    assert said in one_line(ended)


def test_a_file_that_cannot_be_written_is_74(shell: Shell) -> None:
    record("a")
    shell.write("file", "")
    os.mkfifo(shell.directory / "pipe")
    for out in ("nosuch/x.csv", "file/x.csv", ".", "pipe"):
        ended = shell.call("query", "SELECT 1 AS x", "-f", "csv", "--out", out)
        assert ended.code == 74, ended.err
        assert out in one_line(ended)
    assert {path.name for path in shell.directory.iterdir()} == {"file", "pipe", ".replayt"}
    assert (shell.directory / "pipe").is_fifo()


def test_damaged_runs_are_there_up_to_the_damage(shell: Shell) -> None:
    some_runs(shell)
    damage(shell.log("b"))
    assert ask(shell, "SELECT status FROM runs WHERE run_id = 'b'") == [{"status": "damaged"}]
    assert ask(shell, "SELECT max(seq) AS n FROM events WHERE run_id = 'b'") == [{"n": 2}]


def test_a_store_without_runs_answers_with_nothing(shell: Shell) -> None:
    assert ask(shell, "SELECT run_id FROM runs") == []
    assert "(0 rows)" in shell.call("query", "SELECT run_id FROM runs").out
    assert list(shell.directory.iterdir()) == []


def test_nothing_from_a_log_reaches_a_terminal_raw(shell: Shell) -> None:
    record("a", workflow=HOSTILE)
    for form in ("table", "csv", "json", "jsonl"):
        code, sent = on_terminal(shell, "query", "SELECT workflow FROM runs", "-f", form)
        assert code == 0
        assert not set(HOSTILE[:1] + "\x07\u202e") & set(sent.replace("\r\x1b[K", "")), form
        assert "owned" in sent


def test_columns_that_cannot_stand_side_by_side_stand_below_each_other(shell: Shell) -> None:
    """As `SELECT *`, which everybody asks first: cut to eight characters, none could be read."""
    record("a", tags={"team": "x" * 100})
    record("b", days=3)
    _, sent = on_terminal(shell, "query", "SELECT * FROM runs ORDER BY run_id")
    lines = sent.replace("\r\n", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "run_id" in line] == [
        "  run_id             a",
        "  run_id             b",
    ]
    assert sum("  workflow_version   1" in line for line in lines) == 2
    assert lines[-1] == "(2 rows)"


def test_a_wide_table_is_cut_to_the_terminal(shell: Shell) -> None:
    record("a")
    sql = "SELECT repeat('x', 300) AS a, repeat('y', 40) AS b, 7 AS c"
    _, sent = on_terminal(shell, "query", sql)
    lines = sent.replace("\r\n", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].rstrip().endswith("7")
    assert "…" in lines[1]
    assert len(shell.call("query", sql).out.splitlines()[1]) > 300


def test_the_json_can_be_read_by_jq(shell: Shell) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    some_runs(shell)
    out = shell.process(
        "query", "SELECT run_id FROM runs WHERE status = 'failed'", "-o", "json"
    ).out
    jq = ["jq", "-e", "-r", ".[0].run_id"]
    done = subprocess.run(jq, input=out, capture_output=True, text=True, check=True)
    assert done.stdout == "b\n"


def test_a_table_shows_the_letters_of_a_json_column_and_no_control_character(shell: Shell) -> None:
    record("a", tags={"team": "Größe 日本", "odd": HOSTILE})
    record("b")
    shown = shell.call("query", "SELECT tags FROM runs ORDER BY run_id").out
    assert '"team":"Größe 日本"' in shown
    assert not set("\x1b\x07\u202e") & set(shown)
    sql = """SELECT '{"n": 1.50, "t": "x"}'::JSON AS kept, '"\\u00fc"'::JSON AS letter"""
    assert shell.call("query", sql).out.splitlines()[1] == '{"n": 1.50, "t": "x"}  "ü"'


def test_columns_of_wide_characters_stand_below_each_other(shell: Shell) -> None:
    record("a")
    sql = "SELECT * FROM (VALUES ('日本語', 'x'), ('ab', 'x')) AS t(wide, after)"
    lines = shell.call("query", sql).out.splitlines()
    assert lines[:3] == ["wide    after", "日本語  x", "ab      x"]
