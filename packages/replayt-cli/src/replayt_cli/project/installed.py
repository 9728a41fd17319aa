"""What is installed: Python, our packages, the extras, and what other packages register."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec

from replayt_cli.project.finding import Finding

_PACKAGES = ("replayt", "replayt-core", "replayt-llm", "replayt-store", "replayt-cli")
_EXTRAS = {
    "yaml_extra": ("yaml", "PyYAML"),
    "notebook_extra": ("IPython", "ipython"),
}
_BUILT_IN_STORES = ("jsonl", "sqlite")
_STORES, _LLM_CLIENTS = "replayt.stores", "replayt.llm_clients"
_OLDEST_PYTHON = (3, 10)


def installed() -> Iterator[Finding]:
    """Versions, extras, and the stores and clients that can be loaded."""
    yield _python()
    yield from map(_package, _PACKAGES)
    for name, (module, package) in _EXTRAS.items():
        found = find_spec(module) is not None
        yield Finding(
            name=name,
            value="installed" if found else "missing",
            note="" if found else f"pip install {package}",
        )
    yield _duckdb()
    yield _registered("stores", _STORES, _BUILT_IN_STORES, "://")
    yield _registered("llm_clients", _LLM_CLIENTS, (), "")


def _python() -> Finding:
    supported = sys.version_info >= _OLDEST_PYTHON
    return Finding(
        name="python",
        value=platform.python_version(),
        level="ok" if supported else "error",
        note="" if supported else "replayt needs 3.10 or later",
    )


def _package(name: str) -> Finding:
    try:
        return Finding(name=name, value=version(name))
    except PackageNotFoundError:
        needed = name != "replayt"
        return Finding(
            name=name,
            value="missing",
            level="error" if needed else "ok",
            note="install it from where the others came from" if needed else "",
        )


def _duckdb() -> Finding:
    if find_spec("duckdb") is None:
        note = "stats and query need it: pip install 'replayt-store[duckdb]'"
        return Finding(name="duckdb", value="missing", level="warning", note=note)
    try:
        return Finding(name="duckdb", value=version("duckdb"))
    except PackageNotFoundError:
        return Finding(name="duckdb", value="installed")


def _registered(name: str, group: str, built_in: tuple[str, ...], mark: str) -> Finding:
    """What is registered in a group; what of it cannot be loaded is said."""
    usable, broken = set(built_in), []
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:
            # Someone else's package; whatever is wrong with it must not break this command.
            problem = f"{type(error).__name__}: {error}"
            broken.append(f"{point.name}{mark} ({point.value}) cannot be loaded: {problem}")
        else:
            usable.add(point.name)
    return Finding(
        name=name,
        value=", ".join(sorted(usable)) or "none",
        level="warning" if broken else "ok",
        note="; ".join(sorted(broken)),
    )
