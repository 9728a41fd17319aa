"""Statistics and SQL over many runs, by DuckDB: the one module that imports it.

Every question is answered by an in-memory database of its own, loaded from the index (and from the
events where the SQL names them) and thrown away afterwards, so nothing that a query does can reach
the logs or the index. There is no DuckDB file: its writer would lock every other process out.

That a query reads and writes no file is a guard rail against mistakes, not a security boundary:
DuckDB itself says that SQL from strangers needs a sandbox of the operating system.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

from replayt_core.ports.store import EventStore
from replayt_store._answers import (
    AnalyticsError,
    QueryRefusedError,
    QueryTimeoutError,
    Table,
)
from replayt_store._bulk import load_columns
from replayt_store._deadline import Deadline
from replayt_store._export_files import replaceable, write_csv, write_lines
from replayt_store._json_values import csv_line, json_value
from replayt_store._problems import cause, system_error
from replayt_store._query_tables import VIEWS, load_tables
from replayt_store._sql import statements
from replayt_store._stats import measure
from replayt_store.index import RunIndex
from replayt_store.prices import Prices
from replayt_store.selection import Selection
from replayt_store.stats import Stats, columns_for

try:
    import duckdb
except ImportError as missing:
    raise ImportError(
        "statistics and SQL need DuckDB: pip install 'replayt-store[duckdb]'"
    ) from missing

__all__ = [
    "Analytics",
    "AnalyticsError",
    "ExportFormat",
    "QueryRefusedError",
    "QueryTimeoutError",
    "Table",
    "csv_line",
    "json_value",
]

ExportFormat = Literal["parquet", "csv", "jsonl"]
"""The files that `Analytics` can write a result to."""

_FETCH = 2_000
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": "2",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_SETTINGS = (
    "SET temp_directory = ''",
    "SET python_enable_replacements = false",
    "SET TimeZone = 'UTC'",
)
# Before any of the user's SQL is even planned. Nothing can be set any more after the last one.
_SHUT = (
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class Analytics:
    """Statistics and queries over the selected runs, as the index has them.

    Refresh the index first. `store` is where the events are read from, when a query names a view
    that the index does not hold. `prices` gives `stats` its costs.
    """

    def __init__(
        self,
        index: RunIndex,
        store: EventStore,
        *,
        selection: Selection | None = None,
        prices: Prices | None = None,
    ) -> None:
        self._index = index
        self._store = store
        self._selection = selection or Selection()
        self._prices = prices
        self._asking: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Analytics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open between two questions."""

    def interrupt(self) -> None:
        """End the query that runs now, if any: for another thread, such as one that hears Ctrl-C.

        Once may not do: an interrupt between two statements is lost.
        """
        asking = self._asking
        if asking is not None:
            asking.interrupt()

    def stats(self, *, top: int = 5) -> Stats:
        """The figures of the selected runs; of failing states and paths the `top` most frequent.

        Raises `AnalyticsError` when they do not fit into memory.
        """
        columns = columns_for(self._prices)
        self._index.prefetch(self._selection, columns)
        with _database("1GB") as connection, _mapped(None):
            load_columns(connection, columns, self._index.columns(self._selection, columns))
            return measure(
                lambda name, **values: _ask(connection, name, values),
                runs_in_store=self._index.count(),
                prices=self._prices,
                top=top,
            )

    def query(
        self, sql: str, *, seconds: float = 30.0, limit: int | None = None, memory: str = "1GB"
    ) -> Table:
        """The answer to one SELECT over the views that `docs/analytics.md` lists.

        It works on a copy in memory, which is loaded with what the SQL names, and can read and
        write nothing else. Loading and answering together may take `seconds` and `memory`. With
        `limit`, at most so many rows.

        Raises `QueryRefusedError`, `QueryTimeoutError` and `AnalyticsError`; `DamagedLogError` when
        a log that the SQL needs the events of was damaged since the index read it.
        """
        with (
            _one_line_problems("the query cannot be answered"),
            self._asked(sql, memory, seconds) as (connection, question, deadline),
        ):
            result = connection.execute(question.sql)
            rows: list[tuple[object, ...]] = []
            most = None if limit is None else limit + 1
            while most is None or len(rows) < most:
                size = _FETCH if most is None else min(_FETCH, most - len(rows))
                fetched = result.fetchmany(size)
                if not fetched:
                    break
                rows += fetched
                deadline.check()
        truncated = limit is not None and len(rows) > limit
        return Table(
            columns=question.columns,
            types=question.types,
            rows=tuple(rows[:limit]),
            truncated=truncated,
        )

    def export(
        self,
        sql: str,
        *,
        format: ExportFormat,  # noqa: A002 the word that the command line uses too
        out: str | os.PathLike[str],
        seconds: float = 30.0,
        memory: str = "1GB",
    ) -> int:
        """Write the answer to a file and return how many rows it has.

        The file appears whole or not at all, in place of one that was there; a link is followed,
        and a device, a pipe or a directory is left alone. Parquet keeps the
        types of the columns; CSV has a first line with the names; a line of JSONL is one of
        `Table.records`. The answer is kept in a temporary file, so it may be larger than memory;
        columns need distinct names. Raises what `query` raises, and `AnalyticsError` when the
        file cannot be written.
        """
        if format not in get_args(ExportFormat):
            raise ValueError(f"format must be one of {', '.join(get_args(ExportFormat))}")
        target = Path(out)
        with (
            _one_line_problems(f"cannot write {target}"),
            tempfile.TemporaryDirectory(prefix="replayt-") as folder,
        ):
            real = replaceable(target)
            kept = os.path.join(folder, "answer.duckdb")
            with self._asked(sql, memory, seconds, kept) as (connection, question, deadline):
                connection.execute(f"CREATE TABLE kept.answer AS {question.sql}")
                deadline.check()
                connection.execute("DETACH kept")
            return _written(kept, format, real)

    @contextmanager
    def _asked(
        self, sql: str, memory: str, seconds: float, kept: str | None = None
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, _Question, Deadline]]:
        """A database for one question, loaded with what it names, interrupted when time is over.

        `kept` is the path of a database file for the answer.
        """
        with (
            _database(memory) as connection,
            Deadline(connection, seconds) as deadline,
            _mapped(deadline),
        ):
            if kept is not None:
                connection.execute(f"ATTACH {_quoted(kept)} AS kept")
            _execute_all(connection, _SHUT)
            question = _understood(connection, sql)
            load_tables(
                connection,
                question.views,
                index=self._index,
                store=self._store,
                selection=self._selection,
                check=deadline.check,
            )
            self._asking = connection
            try:
                yield connection, question, deadline
            finally:
                self._asking = None


@dataclass(frozen=True, kw_only=True)
class _Question:
    """A statement that may be run: what it answers, and the views that it reads."""

    sql: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    views: frozenset[str]


@contextmanager
def _database(memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        connection = duckdb.connect(":memory:", config={**_CONFIG, "memory_limit": memory})
    except duckdb.Error as error:
        raise AnalyticsError(f"DuckDB does not start: {_first_line(error)}") from None
    with connection:
        _execute_all(connection, (*_SETTINGS, *statements("tables"), *statements("views")))
        try:
            yield connection
        except BaseException:
            # DuckDB 1.5 works off what a broken off query has left, however long that takes, when
            # the connection is closed; unless it is told once more.
            connection.interrupt()
            raise


@contextmanager
def _mapped(deadline: Deadline | None) -> Iterator[None]:
    """Errors of DuckDB in one line, with what to do."""
    try:
        yield
    except duckdb.InterruptException:
        if deadline is None or not deadline.over:
            raise
        raise deadline.error() from None
    except duckdb.OutOfMemoryException:
        raise AnalyticsError(
            "this does not fit into the memory it was given: select fewer runs, or allow more"
        ) from None
    except duckdb.PermissionException as error:
        raise QueryRefusedError(
            f"a query sees the views and nothing else: {_first_line(error)}"
        ) from None
    except (duckdb.IOException, duckdb.TransactionException) as error:
        raise system_error(_first_line(error)) from None
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        raise QueryRefusedError(f"{_first_line(error)}; the views are {', '.join(VIEWS)}") from None
    except duckdb.Error as error:
        raise QueryRefusedError(_first_line(error)) from None


@contextmanager
def _one_line_problems(refusal: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AnalyticsError(f"{refusal}: {cause(error)}") from error


def _understood(connection: duckdb.DuckDBPyConnection, sql: str) -> _Question:
    """The one SELECT that a text is, planned on empty tables."""
    found = connection.extract_statements(sql)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        values = "; give PIVOT its values: ON column IN (…)" if "pivot" in sql.lower() else ""
        raise QueryRefusedError(f"a query is exactly one SELECT statement{values}")
    text = found[0].query.strip().rstrip(";")
    inner = f"({text}\n)"  # on a line of its own, after a comment that may end the text
    described = connection.execute(f"DESCRIBE SELECT * FROM {inner}").fetchall()  # noqa: S608
    columns = tuple(str(row[0]) for row in described)
    zoned = tuple(str(row[1]) for row in described)
    # A time in a zone cannot be fetched without another library; the zone here is UTC.
    types = tuple(kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMP") for kind in zoned)
    views = _views_in(connection, text)
    if types != zoned:
        numbered = [f"c{number}" for number in range(len(columns))]
        casts = ", ".join(
            f"CAST({number} AS {kind}) AS {_identifier(name)}"
            for number, kind, name in zip(numbered, types, columns, strict=True)
        )
        text = f"SELECT {casts} FROM {inner} AS answer({', '.join(numbered)})"  # noqa: S608
    return _Question(sql=text, columns=columns, types=types, views=views)


def _views_in(connection: duckdb.DuckDBPyConnection, text: str) -> frozenset[str]:
    """The views that a statement reads, or where that cannot be told more than those."""
    lower = text.lower()
    # `query_table` takes names that show in no other way, and U&"..." writes them otherwise.
    if "query" in lower or "u&" in lower:
        return frozenset(VIEWS)
    try:
        found = {name.lower() for name in connection.get_table_names(text)}
    except duckdb.Error:  # for DuckDB 1.4 most of the views are too much
        found = set(re.findall(r"\w+", lower))
    return frozenset(found.intersection(VIEWS))


def _written(kept: str, format: ExportFormat, target: Path) -> int:  # noqa: A002
    """Write a kept answer, by a connection that has seen nothing of the user's SQL."""
    part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with _mapped(None), duckdb.connect(kept, config=_CONFIG) as connection:
            count = int(connection.execute("SELECT count(*) FROM answer").fetchall()[0][0])
            if format == "jsonl":
                write_lines(connection, part)
            elif format == "csv":
                write_csv(connection, part)
            else:
                connection.execute(
                    f"COPY answer TO {_quoted(str(part))} (FORMAT parquet, USE_TMP_FILE false)"
                )
        os.replace(part, target)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return count


def _ask(
    connection: duckdb.DuckDBPyConnection, name: str, values: dict[str, object]
) -> list[dict[str, Any]]:
    (statement,) = statements(name)
    result = connection.execute(statement, values or None)
    names = [str(column[0]) for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _execute_all(connection: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> None:
    for statement in wanted:
        connection.execute(statement)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return " ".join(text.split("\n\n")[0].split("\nLINE ")[0].split())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
