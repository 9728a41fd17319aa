"""What a question about many runs comes to: a table, or an error in one line."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from replayt_core.errors import StoreError
from replayt_store._json_values import json_record


class AnalyticsError(StoreError):
    """A question that could not be answered, in one line."""


class QueryRefusedError(AnalyticsError):
    """The SQL is not one SELECT statement that the views can answer."""


class QueryTimeoutError(AnalyticsError):
    """The query took longer than it was given."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a query answered: names and DuckDB types of the columns, and the rows.

    A name that was used before has a number added. `truncated` says that there were more rows than
    were asked for.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    truncated: bool

    def records(self) -> list[dict[str, JsonValue]]:
        """The rows as JSON objects, by `json_value`; columns of type JSON are values, not text."""
        return [json_record(self.columns, self.types, row) for row in self.rows]
