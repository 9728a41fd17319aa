"""The system fails or the process dies at the n-th call of each kind (C2, C3), through strace."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_store import JSONLStore
from tests.store.helpers import seqs, write

PROGRAM = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.store.helpers import batch
from replayt_core.errors import StoreError
from replayt_store import JSONLStore
store = JSONLStore(sys.argv[1])
try:
    with store.lock("r1"):
        store.repair("r1")
        events = list(store.read("r1"))
        for _ in range(4):
            more = batch("state_exited", "transition", "state_entered", after=events)
            store.append("r1", more, after=len(events))
            events += more
            sys.stdout.write(str(len(events)) + "\\n")
            sys.stdout.flush()
except StoreError as error:
    sys.stdout.write(type(error).__name__ + "\\n")
"""
FAULTS = {
    "write": ("signal=KILL", "error=EIO", "error=ENOSPC"),
    "fdatasync": ("signal=KILL", "error=EIO"),
    "fsync": ("signal=KILL", "error=EIO"),
    "ftruncate": ("signal=KILL", "error=EIO"),
}


def run(directory: Path, inject: str) -> list[str]:
    """Each acknowledgement, then the name of the error that ended the writer."""
    log = directory / "r1.jsonl"
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(log), "-P", str(directory)),
            *("-e", f"inject={inject}", sys.executable, "-c", PROGRAM, str(directory)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    ("call", "fault", "at"),
    [
        (call, fault, at)
        for call, faults in FAULTS.items()
        for fault in faults
        for at in ((1, 2, 4) if call in ("write", "fdatasync") else (1,))
    ],
)
def test_a_fault_at_any_call_loses_nothing_acknowledged(
    tmp_path: Path, call: str, fault: str, at: int
) -> None:
    directory = tmp_path / "runs"
    directory.mkdir()
    store = JSONLStore(directory)
    write(store, 1, 2)
    with store.path("r1").open("ab") as file:
        file.write(b"torn")  # so that there is something to cut
    said = run(directory, f"{call}:{fault}:when={at}")
    acknowledged = max([3, *(int(word) for word in said if word.isdigit())])
    if "error" in fault:
        assert said[-1] == "StoreWriteError", "the process ends with an error of ours"
    found = seqs(store)
    assert found == list(range(1, len(found) + 1))
    assert len(found) % 3 == 0, "batches are whole"
    assert acknowledged <= len(found) <= acknowledged + 3
    with store.lock("r1"):
        store.repair("r1")
        assert seqs(store) == found
        write(store, 1)
    assert not store.locked("r1")
