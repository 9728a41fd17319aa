"""The pieces that the page is put together from. Plain data: the template writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from replayt_cli.render.report.scale import Interval, Scale, make_scale
from replayt_cli.render.report.values import Allowance, Shown, duration_text, json_text
from replayt_core import Event
from replayt_core.timeline import TimelineEntry

Kind = Literal["state", "model", "tool", "approval", "wait", "note", "error", "mark"]
Tone = Literal["", "good", "bad", "wait"]

_THINNEST = 0.4


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that took time: percent of the axis, from where and how wide."""

    kind: str
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Fact:
    """A short piece of information with its label; `seq` leads to the event it is about."""

    label: str
    text: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A longer text with its label; `note` goes with the label.

    `absent` says why there is no text; `seq` then leads to where it stands.
    """

    label: str
    shown: Shown | None = None
    note: str = ""
    absent: str = ""
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the waterfall that opens to facts and blocks."""

    seq: int
    kind: Kind
    title: str
    hint: str = ""
    tone: Tone = ""
    verdict: str = ""
    duration: str = ""
    bars: tuple[Bar, ...] = ()
    facts: tuple[Fact, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run as everything on the page is made from it."""

    events: Mapping[int, Event]
    entries: Mapping[int, TimelineEntry]
    scale: Scale
    pauses: tuple[Interval, ...]
    allowance: Allowance
    log_mode: str | None
    schemas: dict[str, int] = field(default_factory=dict)
    """The schemas that are shown already, by their text, with the call that shows them."""

    def zoomed(self, start: float, end: float) -> Source:
        """The same run, drawn on an axis that shows these moments only."""
        return replace(self, scale=make_scale(start, end, self.pauses))

    def moment(self, seq: int) -> float:
        """When an event was written: seconds since the start of the run."""
        entry = self.entries.get(seq)
        return entry.offset_seconds if entry is not None else 0.0

    def bar(self, kind: str, start: float, end: float) -> Bar:
        """A bar between two moments, wide enough to be seen."""
        left, right = self.scale.at(start), self.scale.at(end)
        width = max(right - left, _THINNEST)
        return Bar(kind, min(left, 100 - width), width)

    def bars(
        self, kind: str, start: float, end: float, waits: Iterable[Interval]
    ) -> tuple[Bar, ...]:
        """A bar in pieces, where it waited in between."""
        bars: list[Bar] = []
        for since, until in waits:
            if start <= since < until <= end:
                if since > start:
                    bars.append(self.bar(kind, start, since))
                bars.append(self.bar("wait", since, until))
                start = until
        return (*bars, self.bar(kind, start, end))

    def block(self, label: str, value: Any, *, note: str = "") -> Block:
        """A block with as much of a value as the page takes."""
        return Block(label, self.allowance.take(json_text(value)), note)

    def worked(self, start: float, end: float) -> float:
        """The seconds between two moments in which the run did not wait to be taken up."""
        idle = sum(max(0.0, min(end, b) - max(start, a)) for a, b in self.pauses)
        return max(end - start - idle, 0.0)

    def told(self, seq: int, kind: Kind, tone: Tone = "") -> Row:
        """An event as the timeline tells it: for every type that has no row of its own."""
        entry = self.entries[seq]
        facts, blocks = [], []
        for label, value in entry.details.items():
            text = json_text(value)
            if isinstance(value, dict | list) or len(text) > 100 or "\n" in text:
                blocks.append(self.block(label, value))
            else:
                facts.append(Fact(label, text))
        moment = self.moment(seq)
        return Row(
            seq=seq,
            kind=kind,
            title=entry.title,
            tone=tone,
            bars=(self.bar("mark", moment, moment),),
            facts=tuple(facts),
            blocks=tuple(blocks),
        )


def took(seconds: float | None) -> str:
    """A duration, or nothing where it is not known."""
    return "" if seconds is None else duration_text(seconds)
