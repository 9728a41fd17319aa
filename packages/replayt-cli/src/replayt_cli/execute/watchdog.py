"""Ends a run that has used up its time although its handler does not let it end.

The core ends a run in order at its next call, wait or boundary. A handler that never gets there is
ended from outside: a second later a thread writes the end into the log and the process exits; yet a
second later, where a handler holds the interpreter itself, the process just exits, and the log,
which has no end then, reads `interrupted`.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from replayt_cli import exit_codes
from replayt_cli.render.text import complain
from replayt_core import ConflictError, RunState, fold
from replayt_core.chain import seal
from replayt_core.events import Draft, Payload
from replayt_core.ports import Clock, EventStore, SystemClock

_WRITES_AFTER = 1.0
_EXITS_AFTER = 2.0
_OVER = ("absent", "paused", "ended")


class Watchdog:
    """Watches one run, whose lock this process holds, for `seconds` and a little more."""

    def __init__(
        self, store: EventStore, run_id: str, seconds: float, *, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._seconds = seconds
        self._clock = clock or SystemClock()

    @contextmanager
    def watching(self, how_to_go_on: str) -> Iterator[None]:
        """While the run is executed. `how_to_go_on` is what is said when it has to be ended."""
        timer = threading.Timer(self._seconds + _WRITES_AFTER, self._strike, (how_to_go_on,))
        timer.daemon = True
        # It prints where every thread stands, which is nothing for a user: to nowhere.
        with open(os.devnull, "wb") as nowhere:
            faulthandler.dump_traceback_later(self._seconds + _EXITS_AFTER, exit=True, file=nowhere)
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                faulthandler.cancel_dump_traceback_later()

    def _strike(self, how_to_go_on: str) -> None:
        # Whatever goes wrong here, the hard end comes a second later.
        with suppress(Exception):
            if self.write_end():
                complain(f"timed out after {self._seconds:g} s; {how_to_go_on}")
                os._exit(exit_codes.FAILED)

    def write_end(self) -> bool:
        """Write that the run failed, behind whatever is there; False where it has an end."""
        while True:
            state = fold(self._run_id, self._store.read(self._run_id))
            if state.phase in _OVER:
                return False
            try:
                self._append(state)
            except ConflictError:
                continue  # the handler has written something meanwhile
            return True

    def _append(self, state: RunState) -> None:
        message = f"step {state.state!r} did not end within the {self._seconds:g} s of the run"
        failed: Payload = {
            "state": state.state,
            "error": {"type": "StepTimeout", "message": message},
            "context": {"set": {}, "unset": []},
        }
        ended = {"final_state": state.state, "status": "failed"}
        now = self._clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        events = seal(
            self._run_id,
            [Draft("run_failed", failed), Draft("run_completed", ended)],
            after=state.last_seq,
            head=state.head,
            ts=now,
        )
        self._store.append(self._run_id, events, after=state.last_seq)
