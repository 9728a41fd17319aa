"""A query sees the views and nothing else, changes nothing, and stops in time (issue 4, item 8)."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from replayt_core import MemoryStore, StoreError
from replayt_store import JSONLStore
from replayt_store._deadline import Deadline
from replayt_store.index import RunIndex
from tests.store.runs import append, completed, entered, started

pytest.importorskip("duckdb", reason="the analytics need the extra `duckdb`")

import duckdb

from replayt_store import analytics as module
from replayt_store.analytics import (
    Analytics,
    AnalyticsError,
    QueryRefusedError,
    QueryTimeoutError,
)

ENDLESS = (
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range = 7"
)


@pytest.fixture
def store(tmp_path: Path) -> JSONLStore:
    store = JSONLStore(tmp_path / "runs", sync="os")
    completed(store, "r1", tags={"team": "a"})
    completed(store, "r2")
    return store


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def query(store: Any, sql: str, **more: Any) -> Any:
    with RunIndex.of(store) as index:
        index.refresh()
        with Analytics(index, store) as analytics:
            return analytics.query(sql, **more)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_json('{file}')",
        "SELECT * FROM read_ndjson_objects('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{file}'",
        "FROM '{folder}/*.jsonl'",
        "SELECT getenv('HOME')",
        "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
        "SELECT * FROM query_table('{file}')",
        "SELECT * FROM sqlite_scan('{folder}/x.db', 't')",
        "SELECT * FROM store",
        "SELECT * FROM sql",
        "COPY runs TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{folder}/out.parquet' (FORMAT parquet)",
        "COPY runs FROM '{file}'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/new.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET enable_external_access",
        "PRAGMA enable_profiling = 'json'",
        "CREATE TABLE x AS SELECT 1",
        "CREATE SECRET (TYPE s3)",
        "DROP VIEW runs",
        "DELETE FROM loaded.runs",
        "INSERT INTO loaded.runs SELECT * FROM loaded.runs",
        "UPDATE loaded.runs SET status = 'x'",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW runs",
        "BEGIN",
        "CHECKPOINT",
        "VACUUM",
        "",
        "  -- nothing",
        "selec 1",
        "SELECT nothing FROM runs",
        "SELECT * FROM nowhere",
    ],
)
def test_whatever_is_no_select_over_the_views_is_refused_in_one_line(
    store: JSONLStore, tmp_path: Path, sql: str
) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    text = sql.format(file=tmp_path / "secret.txt", folder=store.directory)
    with RunIndex.of(store) as index, Analytics(index, store) as analytics:
        index.refresh()
        before = bytes_below(tmp_path)
        with pytest.raises(QueryRefusedError) as refused:
            analytics.query(text)
        assert "\n" not in str(refused.value)
        assert "the secret" not in str(refused.value)
        assert bytes_below(tmp_path) == before


@pytest.mark.parametrize(
    "sql",
    [
        "WITH d AS (DELETE FROM loaded.runs RETURNING *) SELECT * FROM d",
        "SELECT * FROM runs",
        "SELECT count(*) FROM events",
    ],
)
def test_nothing_that_a_query_does_reaches_the_index_or_the_logs(
    store: JSONLStore, tmp_path: Path, sql: str
) -> None:
    """ECOSYSTEM D: a data-modifying CTE passes a SELECT-only gate; it would hurt a copy only."""
    with RunIndex.of(store) as index:
        index.refresh()
    before = bytes_below(tmp_path)
    with RunIndex.of(store) as index, Analytics(index, store) as analytics:
        try:
            analytics.query(sql)
        except AnalyticsError as error:
            assert sql.startswith("WITH d"), error  # noqa: PT017
        assert analytics.query("SELECT count(*) FROM runs").rows == ((2,),)
    assert bytes_below(tmp_path) == before


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS,
        "SELECT * FROM range(1000000000000)",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
        f"SELECT run_id FROM runs WHERE (({ENDLESS}) > 0)",  # noqa: S608
    ],
)
def test_a_query_that_would_run_for_ever_stops_at_its_time_limit(
    store: JSONLStore, sql: str, limit: int | None
) -> None:
    if sql.startswith("SELECT * FROM range") and limit is not None:
        assert query(store, sql, seconds=20, limit=1).truncated
        return
    with pytest.raises(QueryTimeoutError, match=r"stopped after 0\.4 s"):
        query(store, sql, seconds=0.4, limit=limit)


def test_loading_counts_as_time_too(store: JSONLStore) -> None:
    with pytest.raises(QueryTimeoutError):
        query(store, "SELECT * FROM states", seconds=0.0)


def test_an_answer_that_does_not_fit_into_memory_says_so(store: JSONLStore) -> None:
    with pytest.raises(AnalyticsError, match="does not fit into the memory"):
        query(store, "SELECT list(range) FROM range(100000000)", memory="64MB")
    with pytest.raises(AnalyticsError, match="DuckDB does not start"):
        query(store, "SELECT 1", memory="plenty")


def test_a_limit_cuts_and_says_so(store: JSONLStore) -> None:
    for limit, truncated in ((1, True), (2, False), (3, False), (0, True)):
        table = query(store, "SELECT run_id FROM runs ORDER BY 1", limit=limit)
        assert (len(table.rows), table.truncated) == (min(limit, 2), truncated)


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("SELECT states, events, approvals FROM runs", set()),
        ("SELECT 'events' FROM runs", set()),
        ('SELECT * FROM "EVENTS"', {"events"}),
        ("WITH events AS (SELECT 1 AS one) SELECT * FROM events", set()),
        ("WITH e AS (SELECT * FROM Events) SELECT * FROM e", {"events"}),
        ("SELECT * FROM main.states", {"records"}),
        ("FROM runs WHERE run_id NOT IN (SELECT run_id FROM tool_calls)", {"records"}),
        ("FROM query_table('events')", {"events", "records"}),
        ("DESCRIBE events", {"events"}),
        ("SHOW TABLES", set()),
    ],
)
def test_events_are_read_when_the_sql_names_them_and_only_then(
    store: JSONLStore, monkeypatch: pytest.MonkeyPatch, sql: str, read: set[str]
) -> None:
    from replayt_store import _query_tables

    loaded: set[str] = set()
    for kind in ("events", "records"):
        original = getattr(_query_tables, f"_load_{kind}")

        def noted(*values: Any, kind: str = kind, original: Any = original) -> None:
            loaded.add(kind)
            original(*values)

        monkeypatch.setattr(_query_tables, f"_load_{kind}", noted)
    assert query(store, sql).rows
    assert loaded == read


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS one;",
        "SELECT 1 AS one -- and a comment",
        "VALUES (1)",
        "FROM range(3)",
        "TABLE runs",
        "SUMMARIZE runs",
        "DESCRIBE SELECT * FROM runs",
        "PIVOT runs ON status IN ('completed') USING count(*) GROUP BY workflow",
        "SELECT now(), current_date",
    ],
)
def test_every_form_of_a_select_is_answered(store: JSONLStore, sql: str) -> None:
    table = query(store, sql)
    assert len(table.columns) == len(table.types) == len(table.rows[0])
    assert all("ZONE" not in kind for kind in table.types)


def test_times_are_utc_without_a_zone_in_every_view(store: JSONLStore) -> None:
    """ECOSYSTEM 7: a TIMESTAMPTZ cannot be fetched without another library."""
    kinds = query(
        store,
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'main'",
    ).rows
    times = {row[:2]: row[2] for row in kinds if "TIME" in row[2]}
    assert set(times.values()) == {"TIMESTAMP"}
    assert ("runs", "started_at") in times
    assert ("events", "ts") in times


def test_the_events_are_what_was_logged(store: JSONLStore) -> None:
    rows = query(store, "SELECT run_id, seq, type, payload FROM events ORDER BY ALL").rows
    logged = [
        (run_id, event.seq, event.type, event.payload)
        for run_id in sorted(store.run_ids())
        for event in store.read(run_id)
    ]
    assert [(*row[:3], json.loads(row[3])) for row in rows] == logged


class Counting:
    """A connection that counts how often it is interrupted."""

    def __init__(self) -> None:
        self.calls = threading.Semaphore(0)

    def interrupt(self) -> None:
        self.calls.release()


def test_a_query_is_interrupted_again_until_it_is_left_alone() -> None:
    """An interrupt between two statements is lost, so one is not enough."""
    connection = Counting()
    with Deadline(connection, 0.0) as deadline:
        for _ in range(3):
            assert connection.calls.acquire(timeout=60)
        with pytest.raises(QueryTimeoutError, match="0 s"):
            deadline.check()


def test_settings_are_shut_before_a_query_is_planned(store: JSONLStore) -> None:
    settings = ("enable_external_access", "lock_configuration")
    sql = ", ".join(f"current_setting('{name}')" for name in settings)
    assert query(store, f"SELECT {sql}").rows == ((False, True),)


@pytest.mark.parametrize("view", ["events", "states"])
def test_what_a_run_wrote_after_the_look_is_in_no_view(store: JSONLStore, view: str) -> None:
    """Else the events of a query would not be those that its runs count."""
    append(store, "on", started(), entered())
    with RunIndex.of(store) as index:
        index.refresh()
        append(store, "on", entered("b"))
        counts = "(SELECT sum(events)::BIGINT FROM runs), (SELECT sum(states)::BIGINT FROM runs)"
        sql = f"SELECT count(*), {counts} FROM {view}"  # noqa: S608
        ((found, events, states),) = Analytics(index, store).query(sql).rows
    assert found == (events if view == "events" else states)


def test_a_pivot_says_which_columns_it_makes(store: JSONLStore) -> None:
    """Without them it is two statements: the first asks which values there are."""
    with pytest.raises(QueryRefusedError, match=r"PIVOT .* IN \("):
        query(store, "PIVOT runs ON status USING count(*)")
    rows = query(store, "PIVOT runs ON status IN ('completed', 'failed') USING count(*)").rows
    assert [row[-2:] for row in rows] == [(1, 0), (1, 0)]


# --- export ---------------------------------------------------------------------------------------


WIDE = """SELECT run_id, started_at, tags, latency_ms, events, [1, NULL] AS list,
    {'a': 1.5::DECIMAL(4, 2)} AS struct, 'x'::BLOB AS blob, now()::DATE AS day,
    NULL::INTEGER AS none FROM runs ORDER BY run_id"""


def test_parquet_holds_the_table_with_its_types(store: JSONLStore, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with RunIndex.of(store) as index:
        index.refresh()
        analytics = Analytics(index, store)
        assert analytics.export(WIDE, format="parquet", out=out) == 2
        table = analytics.query(WIDE)
    with duckdb.connect() as connection:
        found = connection.execute(f"FROM '{out}'")
        assert tuple(name for name, *_ in found.description) == table.columns
        assert tuple(found.fetchall()) == table.rows
        described = connection.execute(f"DESCRIBE FROM '{out}'").fetchall()
    assert tuple(row[1] for row in described) == table.types


def test_csv_and_jsonl_hold_the_table(store: JSONLStore, tmp_path: Path) -> None:
    sql = "SELECT run_id, tags, 'a,\"b\n' AS odd, latency_ms FROM runs ORDER BY 1"
    with RunIndex.of(store) as index:
        index.refresh()
        analytics = Analytics(index, store)
        table = analytics.query(sql)
        analytics.export(sql, format="csv", out=tmp_path / "out.csv")
        analytics.export(sql, format="jsonl", out=str(tmp_path / "out.jsonl"))
    with (tmp_path / "out.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == table.columns
    assert [tuple(row) for row in rows] == [tuple(map(str, row)) for row in table.rows]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == table.records()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_file_appears_whole_or_not_at_all(
    store: JSONLStore, tmp_path: Path, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.write_text("as it was")

    def export(sql: str, **more: Any) -> int:
        with RunIndex.of(store) as index:
            index.refresh()
            return Analytics(index, store).export(sql, format=form, out=out, **more)

    with pytest.raises(QueryRefusedError):
        export("SELECT nothing")
    with pytest.raises(QueryRefusedError):
        export("DROP VIEW runs")
    with pytest.raises(QueryTimeoutError):
        export(ENDLESS, seconds=0.3)
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "replace", refuse)
        with pytest.raises(AnalyticsError, match="the disk is full"):
            export("SELECT 1 AS a")
    assert out.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "runs"]
    assert export("SELECT 1 AS a") == 1
    assert out.read_bytes() != b"as it was"


def refuse(source: object, target: object) -> None:
    raise OSError(28, os.strerror(28))


def test_a_place_that_cannot_be_written_is_named(store: JSONLStore, tmp_path: Path) -> None:
    with RunIndex.of(store) as index:
        analytics = Analytics(index, store)
        for form in ("parquet", "csv", "jsonl"):
            with pytest.raises(AnalyticsError, match="absent/out"):
                analytics.export("SELECT 1 AS a", format=form, out=tmp_path / "absent/out")
        with pytest.raises(ValueError, match="parquet, csv, jsonl"):
            analytics.export("SELECT 1", format="xml", out=tmp_path / "out")  # type: ignore[arg-type]


def test_json_in_a_column_is_a_value_in_json(store: JSONLStore, tmp_path: Path) -> None:
    """So that `tags` is an object to who reads it, as it is in every other document."""
    deep = "[" * 900 + "]" * 900
    sql = f"""SELECT tags, '{{"a": [1, null, "\\ud83d\\ude00"]}}'::JSON AS odd,
        '{{"a": 1}}' AS text, NULL::JSON AS none, '{deep}'::JSON AS deep
        FROM runs WHERE run_id = 'r1'"""  # noqa: S608
    with RunIndex.of(store) as index:
        index.refresh()
        analytics = Analytics(index, store)
        (record,) = analytics.query(sql).records()
        analytics.export(sql, format="jsonl", out=tmp_path / "out")
    assert record["tags"] == {"team": "a"}
    assert record["odd"] == {"a": [1, None, "\U0001f600"]}
    assert (record["text"], record["none"]) == ('{"a": 1}', None)
    assert record["deep"] == deep
    assert json.loads((tmp_path / "out").read_text()) == record


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_link_stays_and_a_pipe_is_left_alone(
    store: JSONLStore, tmp_path: Path, form: Any
) -> None:
    """A file in place of a device or a pipe would take it away from everybody else."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    with RunIndex.of(store) as index:
        analytics = Analytics(index, store)
        assert analytics.export("SELECT 1 AS a", format=form, out=tmp_path / "link") == 1
        for name in ("pipe", "runs"):
            with pytest.raises(AnalyticsError, match=f"{name}: it is no regular file"):
                analytics.export("SELECT 1 AS a", format=form, out=tmp_path / name)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() != b"old"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="file size limits are POSIX")
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_disk_that_refuses_is_no_fault_of_the_sql(
    store: JSONLStore, tmp_path: Path, form: str
) -> None:
    """What the system says to DuckDB is an error of the file, not a refused query."""
    program = (
        "import resource, signal, sys\n"
        "from replayt_store import JSONLStore\n"
        "from replayt_store.analytics import Analytics, AnalyticsError\n"
        "from replayt_store.index import RunIndex\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = JSONLStore(sys.argv[1])\n"
        "with RunIndex.of(store) as index:\n"
        "    index.refresh()\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "    sql = 'SELECT hash(range) AS a FROM range(100000)'\n"
        "    try: Analytics(index, store).export(sql, format=sys.argv[2], out=sys.argv[3])\n"
        "    except AnalyticsError as error:\n"
        "        print(type(error).__name__, type(error.__cause__).__name__, error)\n"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.directory), form, str(out)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("AnalyticsError OSError")
    assert f"cannot write {out}: the file has reached the size limit" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


# --- imports --------------------------------------------------------------------------------------


def test_duckdb_is_imported_by_who_asks_for_analytics_alone() -> None:
    """SC-3: the extra stays an extra; listing needs none."""
    program = (
        "import sys, replayt_store, replayt_store.index\n"
        "import replayt_store.prices, replayt_store.stats\n"
        "assert 'duckdb' not in sys.modules\n"
        "sys.modules['duckdb'] = None\n"
        "try: import replayt_store.analytics\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "statistics and SQL need DuckDB: pip install 'replayt-store[duckdb]'\n"


def test_errors_are_in_the_tree() -> None:
    assert issubclass(QueryRefusedError, AnalyticsError)
    assert issubclass(QueryTimeoutError, AnalyticsError)
    assert issubclass(AnalyticsError, StoreError)


def test_a_run_that_is_gone_since_the_index_looked_has_no_events(store: JSONLStore) -> None:
    memory = MemoryStore()
    for some in (store, memory):
        append(some, "gone", started(), entered())
        with RunIndex.of(some) as index:
            index.refresh()
            some.delete("gone", after=2)
            analytics = Analytics(index, some)
            sql = "SELECT count(*) FROM {} WHERE run_id = 'gone'"
            assert analytics.query(sql.format("runs")).rows == ((1,),)
            assert analytics.query(sql.format("events")).rows == ((0,),)
            assert analytics.query(sql.format("states")).rows == ((0,),)
