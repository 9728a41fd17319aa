"""How events become lines, and how lines are read back: numbering, hash chain, batches.

Each line carries `prev`, the first 32 hex digits of the SHA-256 of the line before it (the first
line: of the run id). In a batch every line but the last says `"more": true`, so that a batch cut
short is known as torn. A log whose first line has neither `prev` nor `log_schema` was written by
replayt 0.1 to 0.4: it is *unchained* as a whole. 0.4 began its logs with an empty line, which is no
event: it is passed over there, and damage anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any

from pydantic_core import from_json, to_json

from replayt_core.errors import DamagedLogError
from replayt_core.events import Draft, Event, Payload

HASH_DIGITS = 32
_FIELDS = itemgetter("run_id", "seq", "ts", "type", "payload", "prev")


def _remembered() -> Any:
    """What the parser remembers of the texts it has seen: the names of fields, which come again.

    To look for values too takes longer than to make them anew. pydantic 2.6 knows all or nothing.
    """
    try:
        from_json(b"{}", cache_strings="keys")
    except TypeError:
        return True
    return "keys"


_REMEMBERED = _remembered()


def line_hash(line: bytes) -> str:
    """The hash that the next line carries as `prev`: 32 hex digits of SHA-256."""
    return sha256(line).hexdigest()[:HASH_DIGITS]


def first_prev(run_id: str) -> str:
    """The `prev` of a run's first line."""
    return line_hash(run_id.encode())


def encode_payload(payload: Payload) -> bytes:
    """A payload as compact JSON bytes; NaN and infinity are refused upstream and become null."""
    return to_json(payload, inf_nan_mode="null")


def seal(
    run_id: str,
    drafts: Sequence[Draft],
    *,
    after: int,
    head: str,
    ts: str,
    encode: Callable[[Payload], tuple[bytes, Payload]] | None = None,
) -> list[Event]:
    """The batch as events, numbered from `after` + 1 and chained from `head`.

    `head` is the hash of the run's last line, or `first_prev(run_id)`. `encode` turns a payload
    into its bytes and the payload those bytes decode to; the log writer scrubs there.
    """
    events: list[Event] = []
    prefix = b'{"ts":"%b","run_id":"%b","seq":' % (ts.encode(), run_id.encode())
    last = len(drafts) - 1
    for offset, (kind, payload) in enumerate(drafts):
        seq = after + 1 + offset
        body, kept = encode(payload) if encode else (encode_payload(payload), payload)
        line = b'%b%d,"type":"%b","payload":%b,"prev":"%b"%b}' % (
            prefix,
            seq,
            kind.encode(),
            body,
            head.encode(),
            b"" if offset == last else b',"more":true',
        )
        events.append(Event(run_id, seq, ts, kind, kept, line, head, offset != last))
        if offset != last:  # the last one's hash is made when a line follows it
            head = line_hash(line)
    return events


def decode(line: bytes) -> Event:
    """One line as an event. Raises `ValueError` when it is no event of any released schema."""
    try:
        record = from_json(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    run_id, seq, kind = record.get("run_id"), record.get("seq"), record.get("type")
    ts, payload, prev = record.get("ts"), record.get("payload"), record.get("prev")
    if type(seq) is not int or seq < 1:
        raise ValueError("no `seq`")
    for name, value in (("run_id", run_id), ("type", kind), ("ts", ts)):
        if not isinstance(value, str):
            raise ValueError(f"no `{name}`")
    if not isinstance(payload, dict):
        raise ValueError("no `payload`")
    if prev is not None and not isinstance(prev, str):
        raise ValueError("`prev` is no text")
    return Event(
        str(run_id), seq, str(ts), str(kind), payload, line, prev, record.get("more") is True
    )


def starts_chain(first: Event) -> bool:
    """Whether a log with this first event is chained; else it is unchained as a whole."""
    return first.prev is not None or "log_schema" in first.payload


def _expected(line: bytes, run_id: str, seq: int, prev: str) -> Event | None:
    """The event of a chained log that has to come next, where the line is that and nothing else.

    Nearly every line is, and these few comparisons tell. What equals a text is one; but `true` and
    `1.0` equal 1, so the type of `seq` is asked.
    """
    try:
        record = from_json(line, cache_strings=_REMEMBERED)
        its_run, number, ts, kind, payload, link = _FIELDS(record)
    except (ValueError, KeyError, TypeError):
        return None
    if (
        link != prev
        or number != seq
        or its_run != run_id
        or type(number) is not int
        or type(ts) is not str
        or type(kind) is not str
        or type(payload) is not dict
    ):
        return None
    more = "more" in record and record["more"] is True
    # `Event(...)` without the call that a named tuple puts in between.
    return tuple.__new__(Event, (run_id, seq, ts, kind, payload, line, prev, more))


class ChainReader:
    """Follows the lines of one run and tells events from damage.

    `seq` and `head` are those of the last whole batch: where the next append goes on; `next_seq` is
    the seq that the next line must have. `chained` is None until the first line is read. Given
    `seq`, `head` and `chained`, reading goes on behind a batch that was checked before.
    """

    def __init__(
        self, run_id: str, *, seq: int = 0, head: str | None = None, chained: bool | None = None
    ) -> None:
        self.run_id = run_id
        self.seq = seq
        self.head = first_prev(run_id) if head is None else head
        self.chained = chained
        self._batch: list[Event] = []
        self._empty_first = False
        self.next_seq = seq + 1
        self._next_prev = self.head

    @property
    def in_batch(self) -> bool:
        """Whether the lines so far end inside a batch, or behind an empty first line alone."""
        return bool(self._batch) or (self._empty_first and not self.seq)

    def feed(self, line: bytes) -> list[Event]:
        """Take the next line; the whole batch when the line ends one, else nothing.

        Raises `DamagedLogError` when the line does not parse, belongs to another run, breaks the
        numbering or the chain. The reader then stands where it stood.
        """
        if not line and self.next_seq == 1 and not self._empty_first:
            self._empty_first = True
            return []
        try:
            event = decode(line)
        except ValueError as error:
            raise self._damage(f"is no event: {error}") from None
        if event.run_id != self.run_id:
            raise self._damage(f"belongs to run {event.run_id!r:.150}")
        if event.seq != self.next_seq:
            raise self._damage(f"has seq {event.seq!s:.24}")
        chained = self.chained
        if chained is None:
            chained = starts_chain(event)
            if chained and self._empty_first:
                raise self._damage("stands behind an empty line")
        # A `prev` that is there must be right, in an unchained log too: else a first line that
        # lost its `prev` would make the whole log look unchained.
        if chained or event.prev is not None:
            self._check_link(event)
        self.chained = chained
        self._batch.append(event)
        self.next_seq += 1
        self._next_prev = line_hash(line)
        if event.more:
            return []
        batch, self._batch = self._batch, []
        self.seq, self.head = event.seq, self._next_prev
        return batch

    def feed_all(self, lines: Iterable[bytes]) -> Iterator[list[Event]]:
        """The whole batches of the next lines, as `feed` would give them, and sooner.

        Raises what `feed` raises. A batch that goes on behind the lines waits for its rest. At each
        batch the reader stands behind it, and an iterator that is left there takes nothing more.
        """
        own, chained = self.run_id, self.chained
        seq, prev, batch = self.next_seq, self._next_prev, self._batch
        try:
            for line in lines:
                event = _expected(line, own, seq, prev) if chained else None
                if event is None:
                    self.next_seq, self._next_prev = seq, prev
                    whole = self.feed(line)
                    chained = self.chained
                    seq, prev, batch = self.next_seq, self._next_prev, self._batch
                    if whole:
                        yield whole
                    continue
                batch.append(event)
                seq += 1
                prev = sha256(line).hexdigest()[:HASH_DIGITS]
                if not event.more:
                    self.seq, self.next_seq = event.seq, seq
                    self.head = self._next_prev = prev
                    self._batch = []
                    yield batch
                    batch = self._batch
        except GeneratorExit:
            raise  # left at a batch: others may have moved the reader on since
        except BaseException:
            self.next_seq, self._next_prev = seq, prev
            raise
        self.next_seq, self._next_prev = seq, prev

    def drop_batch(self) -> int:
        """Forget a batch that was cut short, and how many of its lines were read."""
        dropped, self._batch = len(self._batch), []
        self.next_seq, self._next_prev = self.seq + 1, self.head
        if not self.seq:
            self.chained = None
            self._empty_first = False
        return dropped

    def _check_link(self, event: Event) -> None:
        if event.prev is None:
            if event.type != "approval_resolved":
                raise self._damage("has no `prev`")
            if self._batch:
                raise self._damage("stands inside a batch without `prev`")
        elif event.prev != self._next_prev:
            raise self._damage("does not follow the line before it (its `prev` differs)")

    def _damage(self, problem: str) -> DamagedLogError:
        where = f"event {self.next_seq}"
        return DamagedLogError(
            f"the log of run {self.run_id} is damaged: the line that should be {where} {problem}",
            run_id=self.run_id,
            where=where,
        )


def read_lines(run_id: str, lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of complete lines, batch by batch; a last batch that is cut short is left out.

    Raises `DamagedLogError` after everything that stands before the damage.
    """
    for batch in ChainReader(run_id).feed_all(lines):
        yield from batch
