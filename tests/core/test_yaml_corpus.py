"""Hostile and mistaken workflow files: refused in a line with file, line and remedy, and cheaply.

SC-181, SC-183, SC-185, SC-186 and issue 7: within 1 s and 100 MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replayt_core import WorkflowFileError
from replayt_core.yaml_spec import load_workflow
from tests.core.yaml_corpus import CORPUS

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed here: the extra `yaml`")

MEGABYTES = 100
CPU_SECONDS = 4
"""One is promised; on a machine whose cores are shared, a second's work counts as two or three. A
file that is not refused early takes minutes."""
PARSERS = pytest.mark.parametrize("parser", ["in C", "in Python"])

READ_WITHIN_LIMITS = f"""
import json, os, resource, sys, yaml
if sys.argv[1] == "in Python":
    vars(yaml).pop("CSafeLoader", None)
from replayt_core import WorkflowFileError
from replayt_core.yaml_spec import load_workflow, parse_workflow

parse_workflow("name: warm\\ninitial: a\\nsteps: {{a: {{}}}}\\n")
said = {{}}
for path in sys.argv[2:]:
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        most = used + {MEGABYTES} * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
        try:
            load_workflow(path)
            text = "accepted"
        except WorkflowFileError as error:
            text = str(error)
        except BaseException as error:
            text = f"{{type(error).__name__}}: {{error}}"
        os.write(ours, text.encode()[:4000])
        os._exit(0)
    os.close(ours)
    with os.fdopen(theirs, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    status = os.waitpid(child, 0)[1]
    said[os.path.basename(path)] = text if status == 0 else f"ended with status {{status}}"
print(json.dumps(said))
"""


def written(name: str, folder: Path) -> Path:
    path = folder / f"{name.replace(' ', '_').replace(':', '')}.yaml"
    path.write_bytes(CORPUS[name].bytes)
    return path


def test_the_corpus_is_large_enough() -> None:
    """Issue 7: at least 40."""
    assert len(CORPUS) >= 40
    assert len({bad.bytes for bad in CORPUS.values()}) == len(CORPUS)


@PARSERS
@pytest.mark.parametrize("name", CORPUS)
def test_a_bad_file_is_refused_with_file_line_and_remedy(
    name: str, parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyYAML may have been built without its parser in C; the answers are the same."""
    if parser == "in Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    bad, path = CORPUS[name], written(name, tmp_path)
    with pytest.raises(WorkflowFileError) as caught:
        load_workflow(path)
    first = caught.value.problems[0]
    place, _, said = first.partition(": ")
    assert place.rpartition(":")[0] == f"{path}:{bad.line}", first
    assert bad.says in said, first
    assert bad.remedy in said, first
    for problem in caught.value.problems:
        assert len(problem.splitlines()) == 1
        assert problem.startswith(str(path))
        assert len(problem) < len(str(path)) + 500


@PARSERS
@pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or not hasattr(os, "fork"),
    reason="the limits are those of Linux",
)
def test_a_bad_file_costs_little_time_and_less_than_100_mb(parser: str, tmp_path: Path) -> None:
    paths = {name: written(name, tmp_path) for name in CORPUS}
    done = subprocess.run(
        [sys.executable, "-c", READ_WITHIN_LIMITS, parser, *map(str, paths.values())],
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for name, path in paths.items():
        assert said[path.name].startswith(f"{path}:{CORPUS[name].line}:"), (name, said[path.name])
