"""`MirrorStore`: a primary, and mirrors that follow it.

The primary is the truth. An append goes there first; then each mirror is given what it lacks, so a
mirror that was away, or a process that died between the two, is healed by the next append. Reads
come from the primary alone. A mirror can be any store.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, cast

from replayt_core.errors import ConflictError, DamagedLogError, MirrorError, RunLockedError
from replayt_core.events import Event
from replayt_core.ports.store import (
    DeletesRuns,
    EventStore,
    FollowsRuns,
    ListsRuns,
    LocksRuns,
    RepairsRuns,
    RunEntry,
    RunFollower,
    TornTail,
)
from replayt_core.run_ids import check_run_id
from replayt_store._copying import Agreement, agreement, copy_behind, last_event

__all__ = ["MirrorStore", "MirrorWarning", "MultiStore", "same_place"]

# Each failed round means that someone else appended to the mirror meanwhile.
_ROUNDS = 100
_REMEMBERED = 4096


def same_place(one: EventStore, other: EventStore) -> bool:
    """Whether two stores are the same file or directory, by whatever path: links count, too.

    A store with a `file` or a `directory` is asked for its `place`, the absolute path that it uses;
    where it has none, the path counts as it is given. Of other stores nothing is known but their
    identity.
    """
    if one is other:
        return True
    for name in ("file", "directory"):
        here, there = _path(one, name), _path(other, name)
        if here is not None and there is not None:
            if os.path.realpath(here) == os.path.realpath(there):
                return True  # also where nothing is there yet
            try:
                return os.path.samefile(here, there)
            except OSError:
                return False
    return False


def _path(store: EventStore, name: str) -> str | os.PathLike[str] | None:
    given = getattr(store, name, None)
    if not isinstance(given, str | os.PathLike):
        return None
    place = getattr(store, "place", None)
    return place if isinstance(place, str) else given


class MirrorWarning(UserWarning):
    """A mirror of a store that is not strict could not follow. Said once a mirror."""


class _Place(NamedTuple):
    """Where a mirror's copy of a run ends; `certain` is false while, and after, a write failed."""

    seq: int
    certain: bool


class _Mirrored:
    """The primary, its mirrors, and what is known of them. The abilities below build on it."""

    def __init__(self, primary: EventStore, *mirrors: EventStore, strict: bool = True) -> None:
        _refuse_twice(primary, mirrors)
        self.primary = primary
        self.mirrors = mirrors
        self.strict = strict
        self._known: dict[tuple[int, str], _Place] = {}
        self._warned: set[int] = set()

    def _name(self, number: int) -> str:
        return f"mirror {number + 1} ({_shown(self.mirrors[number])})"

    def _forget(self, run_id: str) -> None:
        for number in range(len(self.mirrors)):
            self._known.pop((number, run_id), None)

    def _remember(self, number: int, run_id: str, place: _Place) -> None:
        key = (number, run_id)
        if key not in self._known and len(self._known) >= _REMEMBERED:
            # What is forgotten is compared again.
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = place

    def _complain(self, number: int, problem: Exception, cause: Exception | None = None) -> None:
        """Raise the problem, or warn where the store is not strict."""
        if self.strict:
            raise problem from cause
        if number not in self._warned:
            self._warned.add(number)
            text = f"{problem} (said once; the run goes on without this mirror)"
            warnings.warn(text, MirrorWarning, stacklevel=3)


class MirrorStore(_Mirrored):
    """A primary and any number of mirrors, as one store with the abilities of the primary.

    `append` raises what the primary raises; then nothing is mirrored. When a mirror cannot follow,
    the primary has committed: `MirrorError` says so, and whoever executes the run stops, so the log
    reads as interrupted. A mirror that holds other bytes is not touched: `DamagedLogError`.
    With `strict=False` both are a `MirrorWarning`, once a mirror, and the run goes on.

    A mirror that is behind is no fault. It is given what it lacks at the run's next append.

    Raises `ValueError` where one place is named twice, as the primary or a mirror, also inside of a
    mirrored store: what is written or deleted twice in one place is no copy.
    """

    def __new__(cls, primary: EventStore, *mirrors: EventStore, strict: bool = True) -> MirrorStore:
        """Composed, so that `isinstance(store, LocksRuns)` answers for the primary."""
        offered = tuple(mixin for ability, mixin in _ABILITIES if isinstance(primary, ability))
        return cast(MirrorStore, super().__new__(_with_abilities(cast(type, cls), offered)))

    def __repr__(self) -> str:
        stores = ", ".join(_shown(store) for store in (self.primary, *self.mirrors))
        return f"MirrorStore({stores}{'' if self.strict else ', strict=False'})"

    def __enter__(self) -> MirrorStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the primary and the mirrors that can be closed."""
        for store in (self.primary, *self.mirrors):
            close = getattr(store, "close", None)
            if close is not None:
                close()

    def append(self, run_id: str, events: Sequence[Event], *, after: int) -> None:
        """Append to the primary, then give each mirror what it lacks.

        Only the primary answers `ConflictError`. Raises `MirrorError` when a mirror cannot follow
        and `DamagedLogError` when it holds something else; the primary has the batch then, and the
        other mirrors have it too.
        """
        self.primary.append(run_id, events, after=after)
        failures: list[tuple[int, Exception, Exception | None]] = []
        for number in range(len(self.mirrors)):
            try:
                self._follow(number, run_id, events, after)
            except Exception as error:
                failures.append((number, self._left_behind(number, run_id, events, error), error))
        for number, problem, cause in failures:
            self._complain(number, problem, cause)

    def read(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The events of the primary."""
        return self.primary.read(run_id, after=after)

    def run_ids(self) -> Iterator[str]:
        """The runs of the primary."""
        return self.primary.run_ids()

    # --- how ----------------------------------------------------------------------------------

    def _follow(self, number: int, run_id: str, events: Sequence[Event], after: int) -> None:
        mirror = self.mirrors[number]
        # A run that begins is taken for one that the mirror does not know: it says if it does.
        known = self._known.get((number, run_id), _Place(0, after == 0))
        self._remember(number, run_id, _Place(known.seq, False))
        seq = None
        if known.certain and known.seq == after:
            try:
                mirror.append(run_id, events, after=after)
                seq = after + len(events)
            except (ConflictError, DamagedLogError):
                known = _Place(0, False)
        if seq is None:
            seq = self._heal(mirror, run_id, known.seq)
        self._remember(number, run_id, _Place(seq, True))

    def _heal(self, mirror: EventStore, run_id: str, start: int) -> int:
        """Compare behind `start`, then copy; the last seq of the mirror."""
        for _ in range(_ROUNDS):
            if isinstance(mirror, RepairsRuns):
                mirror.repair(run_id)
            agreed = agreement(self.primary, mirror, run_id, after=start)
            if agreed.beyond != "nothing":
                raise _no_copy(run_id, agreed)
            try:
                return copy_behind(self.primary, mirror, run_id, after=agreed.seq)
            except ConflictError:
                start = 0
        raise MirrorError("others append to it all the time")

    def _left_behind(
        self, number: int, run_id: str, events: Sequence[Event], error: Exception
    ) -> Exception:
        seq, name = events[-1].seq, self._name(number)
        done = f"run {run_id} is in the primary up to seq {seq}, but {name}"
        if isinstance(error, DamagedLogError):
            text = (
                f"{done} is no copy of it: {error}. Nothing was written there; look at both, then "
                "`replayt store rebuild` replaces the copy"
            )
            return DamagedLogError(text, run_id=run_id, where=error.where)
        return MirrorError(
            f"{done} could not follow: {_sentence(error)}. It catches up at the run's next append, "
            "or with `replayt store rebuild`"
        )


MultiStore = MirrorStore
"""The name of replayt 0.2."""


# --- the abilities of the primary ----------------------------------------------------------------


class _Locks(_Mirrored):
    def lock(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the run in the primary, and in the mirrors that can be locked.

        Raises `RunLockedError` when one of them is held, `MirrorError` when a mirror cannot be
        reached; nothing was executed then.
        """
        return self._hold(check_run_id(run_id))

    def locked(self, run_id: str) -> bool:
        """Whether someone executes the run in the primary right now."""
        return cast(LocksRuns, self.primary).locked(run_id)

    @contextmanager
    def _hold(self, run_id: str) -> Iterator[None]:
        with ExitStack() as held:
            held.enter_context(cast(LocksRuns, self.primary).lock(run_id))
            for number, mirror in enumerate(self.mirrors):
                self._check_writable(number, run_id)
                if isinstance(mirror, LocksRuns):
                    try:
                        held.enter_context(mirror.lock(run_id))
                    except RunLockedError as error:
                        text = f"run {run_id} is held in {self._name(number)}: {error}"
                        self._complain(number, RunLockedError(text), error)
                    except Exception as error:
                        text = f"{self._name(number)} cannot be locked: {_sentence(error)}"
                        problem = MirrorError(f"run {run_id} was not taken up, for {text}")
                        self._complain(number, problem, error)
            # From here on nobody else writes to the mirrors, so each is compared once.
            self._forget(run_id)
            try:
                yield
            finally:
                self._forget(run_id)

    def _check_writable(self, number: int, run_id: str) -> None:
        """Say what is sure to fail before anything is executed, not after the first append."""
        check = getattr(self.mirrors[number], "check_writable", None)
        if check is None:
            return
        try:
            check()
        except Exception as error:
            text = f"{self._name(number)} cannot follow: {_sentence(error)}"
            self._complain(number, MirrorError(f"run {run_id} was not taken up, for {text}"), error)


class _Repairs(_Mirrored):
    def repair(self, run_id: str) -> TornTail | None:
        """Repair the primary. A mirror is repaired when it is next compared."""
        return cast(RepairsRuns, self.primary).repair(run_id)


class _Lists(_Mirrored):
    def runs(self) -> Iterator[RunEntry]:
        """The entries of the primary."""
        return cast(ListsRuns, self.primary).runs()


class _Follows(_Mirrored):
    def follow(self, run_id: str) -> RunFollower:
        """Read a run of the primary as it is written."""
        return cast(FollowsRuns, self.primary).follow(run_id)


class _Deletes(_Mirrored):
    def delete(self, run_id: str, *, after: int) -> int:
        """Delete the run, in the mirrors first; the bytes freed in all of them.

        Raises `ConflictError` when the primary's last seq is not `after`. Interrupted between
        two stores it can be called again: a mirror that lacks the run is as it should be. A copy
        that is not one is kept, and so is the primary: `DamagedLogError`. A mirror that cannot
        delete raises `MirrorError`; with `strict=False` both are a warning.
        """
        last = last_event(self.primary, run_id)
        if (last.seq if last else 0) != after:
            raise ConflictError(
                f"run {run_id} is at seq {last.seq if last else 0}, not {after}: nothing was "
                "deleted"
            )
        freed = 0
        self._forget(run_id)
        for number in range(len(self.mirrors)):
            try:
                freed += self._delete_copy(number, run_id)
            except Exception as error:
                kind = DamagedLogError if isinstance(error, DamagedLogError) else MirrorError
                text = f"run {run_id} stays in {self._name(number)} and in the primary"
                self._complain(number, kind(f"{text}: {_sentence(error)}"), error)
        return freed + cast(DeletesRuns, self.primary).delete(run_id, after=after)

    def _delete_copy(self, number: int, run_id: str) -> int:
        mirror = self.mirrors[number]
        if isinstance(mirror, RepairsRuns):
            mirror.repair(run_id)
        agreed = agreement(self.primary, mirror, run_id)
        if agreed.beyond != "nothing":
            raise _no_copy(run_id, agreed)
        if not agreed.seq:
            return 0
        if not isinstance(mirror, DeletesRuns):
            raise MirrorError(f"a {type(mirror).__name__} cannot delete runs")
        return mirror.delete(run_id, after=agreed.seq)


_ABILITIES: tuple[tuple[type, type[_Mirrored]], ...] = (
    (LocksRuns, _Locks),
    (RepairsRuns, _Repairs),
    (ListsRuns, _Lists),
    (FollowsRuns, _Follows),
    (DeletesRuns, _Deletes),
)


@cache
def _with_abilities(cls: type, mixins: tuple[type, ...]) -> type[Any]:
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, *mixins), names)


def _no_copy(run_id: str, agreed: Agreement) -> DamagedLogError:
    seq = agreed.seq + 1
    holds = "that the primary lacks" if agreed.beyond == "more" else "with other bytes"
    return DamagedLogError(f"it holds event {seq} {holds}", run_id=run_id, where=f"event {seq}")


def _refuse_twice(primary: EventStore, mirrors: Sequence[EventStore]) -> None:
    known = [*_written(primary)]
    for mirror in mirrors:
        for store in _written(mirror):
            same = next((other for other in known if same_place(other, store)), None)
            if same is known[0]:
                raise ValueError(f"{_shown(store)} is the primary itself: no mirror of its own")
            if same is not None:
                raise ValueError(f"{_shown(store)} is there twice: one place is one copy")
            known.append(store)


def _written(store: EventStore) -> Iterator[EventStore]:
    """What is written to when this store is: of a mirrored one its primary and its mirrors."""
    if isinstance(store, _Mirrored):
        for part in (store.primary, *store.mirrors):
            yield from _written(part)
    else:
        yield store


def _shown(store: EventStore) -> str:
    plain = type(store).__repr__ is object.__repr__
    return type(store).__name__ if plain else repr(store)


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.rstrip(".")
