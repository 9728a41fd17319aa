"""What a user installs: the wheels, in fresh virtual environments, away from this source tree."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.e2e.installed import INSTALL_SECONDS, Venv, Workshop, build, run, wheel_of
from tests.workspace.helpers import MEMBERS, ROOT, Member
from tests.workspace.pages import Reader, blocks_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_SECONDS)]

# pydantic and what it brings.
CORE_ALONE = {"annotated-types", "pydantic", "pydantic-core", "replayt-core"}
CORE_ALONE |= {"typing-extensions", "typing-inspection"}

IN_MEMORY_RUN = """
from replayt_core import MemoryStore, Runner, Workflow

wf = Workflow("hello")
wf.set_initial("a")


@wf.step("a")
def a(ctx):
    ctx.set("x", 1)
    return None


print(Runner(wf, MemoryStore()).run(inputs={}).status)
"""

FLOW = """
from replayt import Workflow

wf = Workflow("hello")
wf.set_initial("a")


@wf.step("a")
def a(ctx):
    ctx.set("x", 1)
    return None
"""

each_member = pytest.mark.parametrize("name", MEMBERS)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory)


@pytest.fixture(scope="module")
def dist(workshop: Workshop) -> Path:
    """SC-8. Wheel and sdist of every member."""
    return workshop.dist()


@pytest.fixture(scope="module")
def core_alone(workshop: Workshop) -> Venv:
    return workshop.core()


@pytest.fixture(scope="module")
def everything(workshop: Workshop) -> Venv:
    return workshop.everything()


def sdist_of(member: Member, dist: Path) -> Path:
    return dist / f"{member.import_name}-{member.version}.tar.gz"


def wheel_metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode("utf-8"))


@each_member
def test_the_metadata_says_what_pyproject_says(name: str, dist: Path) -> None:
    """SC-2."""
    member = MEMBERS[name]
    with zipfile.ZipFile(wheel_of(member, dist)) as wheel:
        metadata = wheel_metadata(wheel)
        names = wheel.namelist()
    assert metadata["Metadata-Version"] == "2.4"
    assert metadata["Name"] == name
    assert metadata["Version"] == member.version
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert any(entry.endswith(".dist-info/licenses/LICENSE") for entry in names)


@each_member
def test_the_wheel_holds_every_file_of_the_package(name: str, dist: Path) -> None:
    """SC-9. py.typed, the examples' data and the templates among them."""
    member = MEMBERS[name]
    source = {
        path.relative_to(member.path / "src").as_posix()
        for path in (member.path / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    with zipfile.ZipFile(wheel_of(member, dist)) as wheel:
        shipped = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
    assert shipped == source
    assert f"{member.import_name}/py.typed" in shipped


@each_member
def test_the_sdist_builds_the_same_wheel(name: str, dist: Path, tmp_path: Path) -> None:
    """SC-8."""
    member = MEMBERS[name]
    with tarfile.open(sdist_of(member, dist)) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"} <= {
        path.name for path in unpacked.iterdir()
    }
    build(unpacked, tmp_path, "-t", "wheel")
    with (
        zipfile.ZipFile(wheel_of(member, tmp_path)) as rebuilt,
        zipfile.ZipFile(wheel_of(member, dist)) as built,
    ):
        assert sorted(rebuilt.namelist()) == sorted(built.namelist())


def test_the_core_wheel_alone_brings_pydantic_and_nothing_else(core_alone: Venv) -> None:
    """SC-3."""
    installed = core_alone.installed()
    assert {"pydantic", "replayt-core"} <= installed
    assert installed <= CORE_ALONE


def test_the_core_wheel_alone_runs_a_workflow(core_alone: Venv, tmp_path: Path) -> None:
    script = tmp_path / "hello.py"
    script.write_text(IN_MEMORY_RUN, encoding="utf-8")
    assert run(core_alone.python, script, cwd=tmp_path).stdout == "completed\n"


def test_the_five_wheels_bring_the_command(everything: Venv, tmp_path: Path) -> None:
    """SC-1."""
    assert set(MEMBERS) <= everything.installed()
    said = run(everything.bin / "replayt", "--help", cwd=tmp_path).stdout
    assert "resume" in said
    assert run(everything.python, "-m", "replayt", "--help", cwd=tmp_path).stdout


def test_the_five_wheels_work_without_yaml_or_ipython(everything: Venv) -> None:
    """SC-4, SC-6: these come with the extras only."""
    assert not {"pyyaml", "ipython"} & everything.installed()


def test_the_examples_come_with_the_wheels(everything: Venv, tmp_path: Path) -> None:
    """SC-190. Listed, copied with their inputs, and run from the copy."""
    replayt = everything.bin / "replayt"
    assert len(run(replayt, "examples", cwd=tmp_path).stdout.splitlines()) == 17
    run(replayt, "examples", "--out", "all", cwd=tmp_path)
    inputs = ("--inputs-json", "@all/e05_vendor_lookup_retries.json")
    said = run(replayt, "run", "all/e05_vendor_lookup_retries.py", *inputs, cwd=tmp_path).stdout
    assert "status=completed" in said
    gate = ("--log-dir", "all/e17_verify_gate_runs", "--target", "examples.e17_verify_gate:wf")
    assert "2 ok" in run(replayt, "verify", "--all", *gate, cwd=tmp_path).stdout


@pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="the pages' shell blocks are for bash"
)
def test_the_quickstart_works_as_printed_with_the_wheels_alone(
    everything: Venv, tmp_path: Path
) -> None:
    """SC-194. From an empty directory, up to a resumed approval and a verified run."""
    where = "import replayt, replayt_core; print(replayt.__file__, replayt_core.__file__)"
    for imported in run(everything.python, "-c", where, cwd=tmp_path).stdout.split():
        assert Path(imported).is_relative_to(everything.path)
    reader = Reader(tmp_path, everything.python)
    page = "docs/quickstart.md"
    typed = ""
    for block in blocks_of(page, (ROOT / page).read_text(encoding="utf-8")):
        if block.runnable:
            assert block.not_run is None
            reader.run(block)
            typed += block.text
    assert "replayt resume expenses.py train --approval" in typed
    assert "replayt verify train --target expenses.py" in typed


def test_doctor_prints_one_json_document(everything: Venv, tmp_path: Path) -> None:
    result = run(
        everything.bin / "replayt", "doctor", "--output", "json", cwd=tmp_path, check=False
    )
    assert result.returncode in {0, 1}, result.stderr
    assert isinstance(json.loads(result.stdout), dict)
    assert "Traceback" not in result.stderr


def test_the_ci_recipe_works_under_strict_bash(everything: Venv, tmp_path: Path) -> None:
    """SC-137."""
    if shutil.which("jq") is None and not os.environ.get("CI"):
        pytest.skip("the recipe needs bash and jq; the CI has both")
    (tmp_path / "flow.py").write_text(FLOW, encoding="utf-8")
    recipe = """
        set -euo pipefail
        OUT=$("$1" run flow.py --output json)
        jq -e '.status == "completed"' <<<"$OUT"
    """
    command = ("bash", "-c", recipe, "recipe", everything.bin / "replayt")
    assert run(*command, cwd=tmp_path).stdout == "true\n"
