"""A number means the same everywhere: statistics, views, and plain Python over the fold."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replayt_core import DamagedLogError, MemoryStore, fold
from replayt_core.ports.store import EventStore
from replayt_core.records import digest, records
from replayt_store import JSONLStore, _index_sources
from replayt_store._query_tables import VIEWS
from replayt_store._sql import statements
from replayt_store.index import RunIndex
from replayt_store.prices import ModelPrice, Prices
from replayt_store.selection import Selection
from replayt_store.sqlite import SQLiteStore
from replayt_store.stats import Count, Stats
from tests.core.helpers import RUN, BareStore, batches
from tests.core.programs import StateSpec, World, finish, programs
from tests.store.runs import (
    END,
    append,
    asked,
    completed,
    entered,
    failed,
    replied,
    started,
)

pytest.importorskip("duckdb", reason="the analytics need the extra `duckdb`")

from replayt_store.analytics import Analytics, Table

FIXTURES = Path(__file__).parents[1] / "fixtures"
PRICES = Prices(models={"m": ModelPrice(input=Decimal("0.15"), output=Decimal("0.6"))})


def analytics(store: EventStore, **more: Any) -> Analytics:
    index = RunIndex.of(store)
    index.refresh()
    return Analytics(index, store, **more)


def ask(store: EventStore, sql: str, **more: Any) -> list[tuple[object, ...]]:
    with RunIndex.of(store) as index:
        index.refresh()
        return list(Analytics(index, store).query(sql, **more).rows)


def quantile(values: list[float], part: float) -> float:
    """Linear between neighbours, as everybody means it."""
    ordered, place = sorted(values), (len(values) - 1) * part
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def reference(store: EventStore, top: int) -> dict[str, Any]:
    """The statistics in plain Python over the fold."""
    states = {run_id: fold(run_id, store.read(run_id)) for run_id in store.run_ids()}
    found = [state.summary for state in states.values()]
    calls = [call for run_id in states for call in records(run_id, store.read(run_id)).llm_calls]
    latencies = [call.latency_ms for call in calls if call.latency_ms is not None]

    def most(names: list[str | None]) -> tuple[Count, ...]:
        counts = Counter(name for name in names if name)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
        return tuple(Count(name=name, count=count) for name, count in ordered[:top])

    return {
        "runs": len(found),
        "runs_in_store": len(found),
        "statuses": dict(Counter(summary.status for summary in found)),
        "events": sum(summary.events for summary in found),
        "llm_calls": sum(summary.llm_calls for summary in found),
        "llm_responses": sum(call.ok is not None for call in calls),
        "llm_failures": sum(summary.llm_failures for summary in found),
        "llm_retries": sum(summary.llm_retries for summary in found),
        "step_retries": sum(summary.retries for summary in found),
        "tool_calls": sum(summary.tool_calls for summary in found),
        "approvals": sum(summary.approvals for summary in found),
        "prompt_tokens": sum(summary.prompt_tokens for summary in found),
        "completion_tokens": sum(summary.completion_tokens for summary in found),
        "total_tokens": sum(summary.total_tokens for summary in found),
        "failed_states": most([summary.failed_state for summary in found]),
        "paths": most([digest(run_id, store.read(run_id)).path for run_id in states]),
        "latency": None
        if not latencies
        else (
            len(latencies),
            pytest.approx(sum(latencies) / len(latencies)),
            *(pytest.approx(quantile(latencies, part)) for part in (0.5, 0.95, 0.99)),
        ),
    }


def shown(stats: Stats) -> dict[str, Any]:
    latency = stats.latency
    names = reference(MemoryStore(), 1)
    found = {name: getattr(stats, name) for name in names}
    found["statuses"] = dict(stats.statuses)
    found["latency"] = latency and (
        latency.calls,
        latency.mean,
        latency.p50,
        latency.p95,
        latency.p99,
    )
    return found


def rows_of(store: EventStore, view: str) -> set[tuple[object, ...]]:
    """Run and seq of every row that the core makes for a view."""
    found = set()
    for run_id in store.run_ids():
        events = list(store.read(run_id))
        made: Any = events if view == "events" else getattr(records(run_id, events), view)
        found |= {(run_id, row.seq) for row in made}
    return found


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(programs(), st.integers(0, 20)), min_size=1, max_size=5))
def test_statistics_views_and_plain_python_give_every_number_alike(
    cases: list[tuple[tuple[StateSpec, ...], int]],
) -> None:
    """DESIGN 2, issue 4 item 8: random runs, some cut short."""
    store = MemoryStore()
    for number, (program, end) in enumerate(cases):
        one = MemoryStore()
        finish(program, one, World())
        for batch in batches(one.read(RUN))[: end + 1]:
            drafts = [(event.type, event.payload) for event in batch]
            append(store, f"r{number}", *drafts, day=1 + number)
    with analytics(store) as found:
        stats = found.stats(top=3)
        assert shown(stats) == reference(store, 3)
        totals = found.query(
            "SELECT count(*), sum(events), sum(llm_calls), sum(tool_calls), sum(approvals), "
            "sum(retries), sum(transitions), sum(states) FROM runs"
        ).rows[0]
        folded = [fold(run_id, store.read(run_id)).summary for run_id in store.run_ids()]
        names = "events llm_calls tool_calls approvals retries transitions states".split()  # noqa: SIM905
        assert totals == (len(folded), *(sum(getattr(s, n) for s in folded) for n in names))
        for view in VIEWS[1:]:
            got = found.query(f"SELECT run_id, seq FROM {view}").rows  # noqa: S608
            assert len(got) == len(set(got))
            assert set(got) == rows_of(store, view)
    assert (stats.first_ts, stats.last_ts) == (
        "2026-01-01T00:00:00.000000Z",
        f"2026-01-{len(cases):02}T00:00:00.000000Z",
    )


@pytest.mark.parametrize("kind", ["jsonl", "sqlite", "bare"])
def test_logs_of_every_released_schema_give_the_same_numbers_from_every_store(
    kind: str, tmp_path: Path
) -> None:
    """R-5: 0.2 logs among them; the events come from files, from SQLite, from a bare store."""
    files = JSONLStore(tmp_path / "runs")
    files.directory.mkdir()
    for path in FIXTURES.rglob("*.jsonl"):
        (files.directory / path.name).write_bytes(path.read_bytes())
    store: Any = files
    if kind != "jsonl":
        store = SQLiteStore(tmp_path / "runs.db") if kind == "sqlite" else BareStore()
        for run_id in files.run_ids():
            for batch in batches(files.read(run_id)):
                store.append(run_id, batch, after=batch[0].seq - 1)
    with analytics(store) as found:
        assert shown(found.stats(top=50)) == reference(files, 50)
        for view in VIEWS[1:]:
            got = found.query(f"SELECT run_id, seq FROM {view}").rows  # noqa: S608
            assert set(got) == rows_of(files, view)


def test_an_empty_store_has_figures_too(tmp_path: Path) -> None:
    """SC-173."""
    store = JSONLStore(tmp_path / "absent")
    with analytics(store, prices=PRICES) as found:
        stats = found.stats()
    assert (stats.runs, stats.runs_in_store, dict(stats.statuses)) == (0, 0, {})
    assert (stats.latency, stats.first_ts, stats.last_ts, stats.paths) == (None, None, None, ())
    assert stats.cost is not None
    assert stats.cost.usd == 0
    assert list(tmp_path.iterdir()) == []


def test_statistics_of_a_selection_say_how_many_runs_there_are(tmp_path: Path) -> None:
    """SC-171: window, tag and workflow combine."""
    store = JSONLStore(tmp_path / "runs")
    completed(store, "one", tags={"team": "a"}, day=1)
    completed(store, "two", tags={"team": "a"}, day=5)
    append(store, "three", started(tags={"team": "b"}), entered("x"), *failed("x"), day=6)
    chosen = Selection(tags={"team": "a"}, since="2026-01-03T00:00:00Z")
    with analytics(store, selection=chosen) as found:
        stats = found.stats()
        assert (stats.runs, stats.runs_in_store, stats.llm_calls) == (1, 3, 1)
        assert found.query("SELECT run_id FROM runs").rows == (("two",),)
        for view in ("events", "llm_calls", "states"):
            assert found.query(f"FROM {view} SELECT DISTINCT run_id").rows == (("two",),)


def test_a_call_costs_what_the_model_that_answered_costs(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs")
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    answer = ("llm_response", {"call": 1, "model": "m-dated", "usage": usage})
    append(store, "a", started(), entered(), asked(1, "m"), answer)
    dated = ModelPrice(input=Decimal(2), output=Decimal(2))
    prices = Prices(models={**PRICES.models, "m-dated": dated})
    with analytics(store, prices=prices) as found:
        cost = found.stats().cost
    assert cost is not None
    assert cost.usd == 2


def test_cost_is_exact_and_says_what_has_no_price(tmp_path: Path) -> None:
    store = JSONLStore(tmp_path / "runs")
    failure = ("llm_response", {"call": 1, "ok": False, "error": {"kind": "server"}})
    append(store, "a", started(), entered(), asked(1), replied(1, sent=1_000_000, back=500_000))
    append(store, "b", started(), entered(), asked(1, "dear"), replied(1, sent=5, back=6))
    append(store, "c", started(), entered(), asked(1), failure)
    append(store, "d", started(), entered(), asked(1))  # no end: nobody knows what it cost
    named = {"call": 1, "model": "m", "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}
    append(store, "e", started(), entered(), asked(1, "alias"), ("llm_response", named))
    with analytics(store, prices=PRICES) as found:
        cost = found.stats().cost
    assert cost is not None
    assert cost.usd == Decimal("0.15") + Decimal("0.3") + Decimal("0.15")
    assert (cost.priced_calls, cost.unpriced_calls, cost.unpriced_tokens) == (2, 2, 11)
    assert cost.unpriced_models == ("dear", "m")
    with analytics(store) as found:
        assert found.stats().cost is None


def test_damaged_and_torn_logs_are_counted_as_far_as_they_can_be_read(tmp_path: Path) -> None:
    """RELIABILITY R6: one bad log never spoils the figures of the others."""
    store = JSONLStore(tmp_path / "runs")
    for run_id in ("good", "torn", "hurt"):
        completed(store, run_id)
    store.path("torn").write_bytes(store.path("torn").read_bytes()[:-9])
    lines = store.path("hurt").read_bytes().splitlines(keepends=True)
    append(store, "more", started(), entered())
    with store.path("more").open("ab") as file:
        file.writelines([b"garbage\n", *lines[:1]])
    with analytics(store) as found:
        stats = found.stats()
        assert dict(stats.statuses) == {"completed": 2, "damaged": 1, "interrupted": 1}
        assert stats.events == 5 + 5 + 2
        assert found.query("SELECT count(*) FROM events").rows == ((12,),)
        problem = found.query("SELECT problem FROM runs WHERE status = 'damaged'").rows[0][0]
        assert "more.jsonl, line 3" in str(problem)


def test_damage_right_behind_what_was_read_at_once_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that ends with the last sound line leaves nothing to ask of the next one."""
    store = JSONLStore(tmp_path / "runs")
    append(store, "hurt", started(), entered("a"))
    with store.path("hurt").open("ab") as file:
        file.write(b"garbage\n")
    monkeypatch.setattr(_index_sources, "_PIECE", store.path("hurt").stat().st_size - 4)
    with analytics(store) as found:
        assert found.query("SELECT count(*) FROM events").rows == ((2,),)
        assert found.query("SELECT state FROM states").rows == (("a",),)


@pytest.mark.parametrize("put", [b"garbage", b"\xff", b""], ids=repr)
@pytest.mark.parametrize("view", ["events", "states"])
def test_a_log_that_was_damaged_since_it_was_indexed_is_named_and_not_shown(
    tmp_path: Path, view: str, put: bytes
) -> None:
    """SC-98: an index does not look again at a run that has ended; `check` does."""
    store = JSONLStore(tmp_path / "runs")
    completed(store, "fine")
    append(store, "hurt", started(), entered())
    append(store, "hurt", END)
    with RunIndex.of(store) as index:
        index.refresh()
        lines = store.path("hurt").read_bytes().split(b"\n")
        lines[2] = put
        store.path("hurt").write_bytes(b"\n".join(lines))
        asking = Analytics(index, store)
        with pytest.raises(DamagedLogError, match="the log of run hurt is damaged") as error:
            asking.query(f"FROM {view}")
        assert "`--check`" in str(error.value)
        assert '"run_id"' not in str(error.value)
        index.check()
        left = [row for row in asking.query(f"FROM {view}").rows if row[0] == "hurt"]
        assert len(left) == {"events": 2, "states": 1}[view]


def test_the_sql_files_are_in_the_package() -> None:
    """They are read from the installed package, not from the source tree."""
    assert len(statements("views")) == len(VIEWS)
    assert len(statements("tables")) == len(VIEWS) + 1
    for name in ("runs", "calls", "statuses", "models", "failed_states", "paths"):
        assert len(statements(f"stats_{name}")) == 1


def test_a_table_gives_strict_json(tmp_path: Path) -> None:
    """ECOSYSTEM 8: no NaN; dates, decimals, bytes and nested values have one form."""
    import json

    sql = """SELECT 'nan'::DOUBLE AS a, '-inf'::FLOAT AS b, 1.50::DECIMAL(5, 2) AS c,
        TIMESTAMP '2026-01-02 03:04:05' AS d, DATE '2026-01-02' AS e, 'ab'::BLOB AS f,
        [{'x': 1, 'y': ['nan'::DOUBLE]}] AS g, MAP {1: 'one'} AS h, INTERVAL 90 SECOND AS i,
        uuid '00000000-0000-0000-0000-000000000001' AS j, NULL AS k, TIME '01:02:03' AS l,
        170141183460469231731687303715884105727::HUGEINT AS m, TIMESTAMPTZ '2026-01-02 03:04:05+02'
        AS n, true AS o, 7 AS a"""
    with analytics(MemoryStore()) as found:
        table = found.query(sql)
    assert isinstance(table, Table)
    (record,) = json.loads(json.dumps(table.records(), allow_nan=False))
    assert record == {
        "a": None,
        "b": None,
        "c": "1.50",
        "d": "2026-01-02T03:04:05Z",
        "e": "2026-01-02",
        "f": "6162",
        "g": [{"x": 1, "y": [None]}],
        "h": {"1": "one"},
        "i": 90.0,
        "j": "00000000-0000-0000-0000-000000000001",
        "k": None,
        "l": "01:02:03",
        "m": 2**127 - 1,
        "n": "2026-01-02T01:04:05Z",
        "o": True,
        "a_1": 7,
    }
    assert table.types[:4] == ("DOUBLE", "FLOAT", "DECIMAL(5,2)", "TIMESTAMP")


def test_odd_text_arrives_as_it_was_logged(tmp_path: Path) -> None:
    """R-5 of the kit: U+2028, non-BMP, NUL, quotes and newlines, in the index and in the events."""
    text = "a'b\"c\\ \u2028 \U0001f600 \x00 \n \t é"
    store = JSONLStore(tmp_path / "runs")
    append(store, "r", started(workflow_name=text, tags={text: text}), entered(text), END)
    assert ask(store, "SELECT workflow FROM runs") == [(text,)]
    assert ask(store, "SELECT state FROM states") == [(text,)]
    assert ask(store, "SELECT payload->>'$.state' FROM events WHERE seq = 2") == [(text,)]
    import json

    ((tags,),) = ask(store, "SELECT tags FROM runs")
    assert json.loads(str(tags)) == {text: text}
