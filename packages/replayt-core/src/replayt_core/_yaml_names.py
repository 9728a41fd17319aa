"""Whether every value that a step uses can be there: some step on a way to it gives its name.

What a run is given from outside is known only where a step requires it, so an input that a
template names has to stand under `require`. That makes a misspelt name an error before any run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from replayt_core._templates import Path
from replayt_core._yaml_problems import Problems, listed, nearest
from replayt_core._yaml_step_specs import StepSpec, Use
from replayt_core._yaml_types import TypeSpec

_WHOLES = ("list", "object")
"""Types of which no value is a case."""

Kinds = list[TypeSpec | None]
"""What is known of a value, for each step that may have given it; None where nothing is."""


def check_names(steps: Mapping[str, StepSpec], initial: str, problems: Problems) -> None:
    """Note each use of a name that nothing gives, and of a field or case that cannot be.

    A step that no run comes to is left out: `Workflow.check` finds it.
    """
    numbers = {name: number for number, name in enumerate(steps)}
    order = list(steps.values())
    before = _ways(order, numbers)
    gives = [spec.gives for spec in order]
    givers = _Givers(gives)
    for number, spec in enumerate(order):
        if spec.name != initial and not before[number] >> numbers[initial] & 1:
            continue
        for use in spec.uses:
            own = _own(spec, use)
            mask = givers.of(use.path[:1]) & before[number]
            if own:
                if not _may_have(own[0], use.path[1:]):
                    _note_field(use, own[0], problems)
            elif not mask:
                _note_unknown(spec, use, _given(spec, givers, before[number]), problems)
            elif not givers.of(use.path) & mask:
                first = gives[(mask & -mask).bit_length() - 1]
                _note_field(use, first[use.path[0]], problems)
        _check_cases(spec, gives, before[number], givers, problems)


class _Givers:
    """Which steps give a value, as a set of bits: one look, however many steps and fields."""

    def __init__(self, gives: Sequence[Mapping[str, TypeSpec | None]]) -> None:
        self.names: dict[str, int] = {}
        self._declared: dict[Path, int] = {}
        self._unknown: dict[Path, int] = {}
        for number, given in enumerate(gives):
            for name, kind in given.items():
                self.names[name] = self.names.get(name, 0) | 1 << number
                self._note((name,), kind, 1 << number)

    def _note(self, path: Path, kind: TypeSpec | None, bit: int) -> None:
        if kind is None or kind.is_open:
            self._unknown[path] = self._unknown.get(path, 0) | bit
            return
        self._declared[path] = self._declared.get(path, 0) | bit
        for name, inner in kind.fields.items():
            self._note((*path, name), inner, bit)

    def of(self, path: Path) -> int:
        """The steps whose value may have such a field; what is unknown may have any."""
        found = self._declared.get(path, 0)
        for depth in range(1, len(path) + 1):
            found |= self._unknown.get(path[:depth], 0)
        return found


def _ways(order: Sequence[StepSpec], numbers: Mapping[str, int]) -> list[int]:
    """For each step the steps from which a run may come to it, as a set of bits."""
    direct = [0] * len(order)
    for number, spec in enumerate(order):
        for target, _ in spec.targets:
            direct[numbers[target]] |= 1 << number
    ways: list[int] = []
    for first in direct:
        seen, left = 0, first
        while left:
            step = left & -left
            seen |= step
            left = (left ^ step) | (direct[step.bit_length() - 1] & ~seen)
        ways.append(seen)
    return ways


def _numbers(mask: int) -> list[int]:
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def _own(spec: StepSpec, use: Use) -> Kinds:
    """What the step itself has put there before the use; what came last counts."""
    name = use.path[0]
    if use.after_call and name in spec.output:
        return [spec.output[name]]
    if name in spec.constants:
        return [None]
    return [spec.require[name]] if name in spec.require else []


def _given(spec: StepSpec, givers: _Givers, before: int) -> Iterator[str]:
    """The names that a step could use. Read for the few problems that are told in full."""
    yield from spec.require
    yield from spec.constants
    yield from (name for name, mask in givers.names.items() if mask & before)


def _note_unknown(spec: StepSpec, use: Use, known: Iterable[str], problems: Problems) -> None:
    if problems.full:
        problems.count()
        return
    name, shown = use.path[0], _shown(use.path)
    text = f"{shown}: nothing before this place gives {name!r}"
    remedy = f"list it under `require` of step {spec.name!r:.80} if it is an input"
    meant = nearest(name, known)
    problems.add(
        use.node, f"{text}; did you mean {meant!r}? Else {remedy}" if meant else f"{text}; {remedy}"
    )


def _note_field(use: Use, kind: TypeSpec | None, problems: Problems) -> None:
    """Note a field that none of the possible values has, by the first of them."""
    if problems.full:
        problems.count()
        return
    path = use.path
    fields: Mapping[str, TypeSpec] = kind.fields if kind is not None else {}
    for depth, name in enumerate(path[1:], 1):
        if name not in fields:
            whole = ".".join(path[:depth])
            problems.add_unknown(
                use.node,
                name,
                fields,
                f"{_shown(path)}: {whole!r:.80} has no field {name!r:.80}",
                f"it has {listed(fields)}" if fields else "it is no object: use it as it is",
            )
            return
        fields = fields[name].fields


def _may_have(kind: TypeSpec | None, path: Path) -> bool:
    if kind is None:
        return True
    try:
        kind.at(path)
    except KeyError:
        return False
    return True


def _check_cases(
    spec: StepSpec,
    gives: Sequence[Mapping[str, TypeSpec | None]],
    before: int,
    givers: _Givers,
    problems: Problems,
) -> None:
    """Note cases that cannot come, and values that have no case, where all values are known."""
    branch = spec.branch
    if branch is None:
        return
    name = branch.path[0]
    use = Use(path=branch.path, node=branch.node, after_call=True)
    mask = givers.of((name,)) & before
    kinds = _own(spec, use) or [gives[giver].get(name) for giver in _numbers(mask)]
    fields, shown = branch.path[1:], ".".join(branch.path)
    found = [kind.at(fields) if kind and _may_have(kind, fields) else None for kind in kinds]
    if not found:
        return  # nothing gives the name: that is told already
    if all(kind and kind.kind in _WHOLES and not kind.optional for kind in found):
        problems.add(
            branch.node,
            f"the branch is on {shown!r:.80}, a list or an object; name a field of it, or let a "
            "tool decide",
        )
        return
    labels: dict[str, None] = {}
    for kind in found:
        if kind is None or kind.labels is None:
            return
        labels.update(dict.fromkeys(kind.labels))
    for case, node in branch.case_nodes.items():
        if case not in labels:
            problems.add_unknown(
                node,
                case,
                labels,
                f"the case {case!r:.80} is no value of {shown!r:.80}",
                f"it has {listed(labels)}",
            )
    missing = [label for label in labels if label not in branch.cases]
    if missing and branch.default is None and labels:
        problems.add(
            branch.node,
            f"the branch has no case for {listed(missing)}; add it, or a `default`",
        )


def _shown(path: Path) -> str:
    return f"{{{'.'.join(path)}}}"[:80]
