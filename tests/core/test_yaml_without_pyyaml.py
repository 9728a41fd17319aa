"""Without PyYAML a workflow file is refused with the remedy, and nothing else is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKED = """
import sys
sys.modules["yaml"] = None  # `import yaml` raises ImportError, as if it were not installed
from replayt_core import MemoryStore, Runner, Workflow, WorkflowFileError
from replayt_core.yaml_spec import load_workflow, workflow_schema

wf = Workflow("plain")
wf.set_initial("a")
wf.step("a")(lambda ctx: None)
print(Runner(wf, MemoryStore()).run().status, workflow_schema()["title"])
try:
    load_workflow("flow.yaml")
except WorkflowFileError as error:
    print(error)
"""


def test_a_file_says_what_to_install_and_all_else_works(tmp_path: Path) -> None:
    """SC-7, SC-116."""
    tmp_path.joinpath("flow.yaml").write_text("name: x\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.splitlines() == [
        "completed replayt workflow",
        "flow.yaml: PyYAML is missing: install the yaml extra (pip install 'replayt[yaml]'), or "
        "PyYAML itself",
    ]
