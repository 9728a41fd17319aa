"""CSV has one form: what is printed is what is written to a file."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra duckdb is not installed")

from replayt_store import JSONLStore
from replayt_store.analytics import Analytics, csv_line
from replayt_store.index import RunIndex

EVERYTHING = """
    SELECT TIMESTAMP '2026-01-02 03:04:05' AS utc, TIMESTAMP '2026-01-02 03:04:05.25' AS parts,
        TIMESTAMPTZ '2026-01-02 03:04:05+00' AS zoned, DATE '2026-01-02' AS day,
        INTERVAL 90 SECOND AS duration, NULL AS nothing, '' AS empty, ' a' AS spaced,
        'a, "b"' || chr(10) || 'é質' AS odd, 1.5::DOUBLE AS number, 'NaN'::DOUBLE AS nan,
        0.10::DECIMAL(5, 2) AS exact, true AS truth, [1, 2] AS list, {'key': 'é'} AS object,
        '\\x00\\xff'::BLOB AS bytes
"""


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05Z"),  # noqa: DTZ001
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), "2026-01-02T03:04:05+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(seconds=90), "90.0"),
        (Decimal("0.10"), "0.10"),
        (b"\x00\xff", "00ff"),
        (True, "true"),
        (float("nan"), ""),
        (1.5, "1.5"),
        ("", '""'),
        ("plain", "plain"),
        (" a", '" a"'),
        ("a\rb", '"a\rb"'),
        ('say "x"', '"say ""x"""'),
        ({"key": [1, "é"]}, '"{""key"": [1, ""é""]}"'),
    ],
)
def test_a_value_is_a_field(value: object, field: str) -> None:
    assert csv_line([value, None, 1]) == f"{field},,1"


def test_a_row_of_one_null_is_no_empty_line() -> None:
    assert csv_line([None]) == '""'
    assert csv_line([None, None]) == ","


def test_what_is_exported_is_what_is_printed(tmp_path: Path) -> None:
    store, out = JSONLStore(tmp_path / "runs"), tmp_path / "out.csv"
    with RunIndex.of(store) as index:
        index.refresh()
        analytics = Analytics(index, store)
        table = analytics.query(EVERYTHING)
        assert analytics.export(EVERYTHING, format="csv", out=out) == 1
    written = out.read_bytes().decode()
    assert written == "".join(f"{csv_line(row)}\n" for row in (table.columns, *table.rows))
    header, row = csv.reader(io.StringIO(written, newline=""))
    found = dict(zip(header, row, strict=True))
    assert (found["utc"], found["parts"], found["day"], found["duration"]) == (
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.250000Z",
        "2026-01-02",
        "90.0",
    )
    assert found["odd"] == 'a, "b"\né質'
    assert (found["nothing"], found["nan"], found["bytes"]) == ("", "", "00ff")
