"""Two runs compared, as text: the first difference, what came after it, and what is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from replayt_cli.render.diff.fields import STYLES, print_difference
from replayt_cli.render.text import (
    count_of,
    cut,
    echo,
    hang,
    one_line,
    paint,
    short_time,
    width,
    wrap,
)
from replayt_cli.render.timeline import headline
from replayt_cli.show.recorded_run import RecordedRun
from replayt_core.diff import Delta, Part, RunDiff, RunDifference

_FIRST_CHARS = 800
_LATER_CHARS = 160
_FIRST_FIELDS = 24
_LATER_FIELDS = 6
_MOST_LATER = 24
_LABEL = 14


def print_diff(a: RecordedRun, b: RecordedRun, found: RunDiff) -> None:
    """Both runs, the differences in order, then one line for all that is the same."""
    for side, run in (("A", a), ("B", b)):
        _print_head(side, run)
    _print_relation(found)
    for side, run in (("A", a), ("B", b)):
        if run.damage is not None:
            echo(f"{side} is damaged: compared is what stands before the damage")
    if found.first is not None:
        echo()
        echo(paint("first difference", "bold"))
        print_difference(found, found.first, _FIRST_FIELDS, _FIRST_CHARS)
        _print_later(found)
    else:
        echo()
        for line in wrap("the runs are the same in all that was compared", width(), indent=""):
            echo(paint(line, "bold"))
    echo()
    same = [part for part in found.parts.values() if part.compared and not part.changed]
    counted = [
        f"{_words(part.part)} ({part.compared})" if part.compared > 1 else _words(part.part)
        for part in same
    ]
    if counted:
        _line("same", ", ".join(counted))
    for text in _left_out(found):
        _line("not compared", text)
    _print_figures(found)


def _print_head(side: str, run: RecordedRun) -> None:
    summary = run.state.summary
    mark = paint(side, STYLES[side.lower()])
    for line in wrap(f"{mark}  {headline(run)}", width(), indent=""):
        echo(line)
    facts = [f"started {short_time(summary.started_ts)}"]
    if summary.tags:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(summary.tags.items()))
        facts.append(cut(tags, _LATER_CHARS))
    for line in wrap(one_line(", ".join(facts)), width(), indent="   "):
        echo(line)


def _print_relation(found: RunDiff) -> None:
    relation = found.relation
    if relation is None:
        return
    fork, parent = ("B", "A") if relation.fork == "b" else ("A", "B")
    text = f"{fork} is a fork of {parent} from seq {relation.seq}, state {relation.state}"
    if relation.shared:
        visits = count_of(relation.shared, "visit")
        text += f"; what {parent} did before that is not compared ({visits})"
    for line in wrap(one_line(text), width(), indent=""):
        echo(line)


def _print_later(found: RunDiff) -> None:
    later = list(_grouped(found))[1:]
    if not later:
        return
    echo()
    echo(paint("after it", "bold"))
    for item in later[:_MOST_LATER]:
        print_difference(found, item, _LATER_FIELDS, _LATER_CHARS)
    if len(later) > _MOST_LATER:
        rest = count_of(len(later) - _MOST_LATER, "more difference")
        echo(f"  … and {rest}; --output json lists all")


def _grouped(found: RunDiff) -> Iterator[RunDifference]:
    """The differences, of a visit that only one run made the visit alone."""
    told: set[int] = set()
    for item in found.differences:
        if item.visit in told:
            continue
        if item.visit is not None and item.part == "states":
            told.add(item.visit)
        yield item


def _left_out(found: RunDiff) -> Iterator[str]:
    """What could not be compared, each reason once."""
    reasons = Counter((item.part, item.why) for item in found.not_compared)
    for (part, why), number in reasons.items():
        items = [item for item in found.not_compared if (item.part, item.why) == (part, why)]
        what = cut(", ".join(dict.fromkeys(item.what for item in items)), _LATER_CHARS)
        name = f"{_words(part)} of {what}" if part and part != what else what
        yield f"{name}{f' ({number} times)' if number > 1 else ''}: {why}"


def _print_figures(found: RunDiff) -> None:
    latency = found.latency_ms
    if round(latency.a or 0) or round(latency.b or 0):
        text = _figure(latency, " ms")
        calls = [call for call in found.call_latencies if call.latency_ms.delta]
        if len(found.call_latencies) > 1 and calls:
            most = max(calls, key=lambda call: abs(call.latency_ms.delta or 0.0))
            text += f"; most in {most.state}, {most.what}: {most.latency_ms.delta:+,.0f} ms"
        _line("latency", text)
    if found.total_tokens.a or found.total_tokens.b:
        text = _figure(found.total_tokens, "")
        if found.uncounted_replies.a or found.uncounted_replies.b:
            uncounted = found.uncounted_replies
            text += f"; replies without a count: A {uncounted.a:.0f}, B {uncounted.b:.0f}"
        _line("tokens", text)
    if found.llm_retries.a or found.llm_retries.b:
        _line("model retries", _figure(found.llm_retries, ""))


def _figure(figure: Delta, unit: str) -> str:
    text = f"A {figure.a or 0:,.0f}{unit}, B {figure.b or 0:,.0f}{unit}"
    more = round(figure.delta or 0)
    return f"{text} ({more:+,}{unit})" if more else text


def _line(label: str, text: str) -> None:
    hang(label.ljust(_LABEL), one_line(text))


def _words(part: Part | None) -> str:
    return (part or "").replace("_", " ")
