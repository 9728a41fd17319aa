"""What `doctor` looks at: one finding a line, nothing changed and nothing created."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from replayt_cli.options import DEFAULT_LOG_DIR
from replayt_cli.stores import StoreChoice
from replayt_core import LLMError, ReplaytError

_PACKAGES = ("replayt", "replayt-core", "replayt-llm", "replayt-store", "replayt-cli")
_BUILT_IN = ("jsonl", "sqlite")
_OLDEST_PYTHON = (3, 10)
_PROBE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: its name, what was found, and what is to be said about it."""

    name: str
    value: str
    level: Literal["ok", "warning", "error"] = "ok"
    note: str = ""


def diagnose(choice: StoreChoice, *, today: date | None = None) -> list[Finding]:
    """All findings, in the order they are shown."""
    day = today or datetime.now(timezone.utc).date()
    return [*_versions(), *_model(day), *_connectivity(), *_stores(choice)]


def _versions() -> Iterator[Finding]:
    supported = sys.version_info >= _OLDEST_PYTHON
    yield Finding(
        name="python",
        value=platform.python_version(),
        level="ok" if supported else "error",
        note="" if supported else "replayt needs 3.10 or later",
    )
    for name in _PACKAGES:
        try:
            yield Finding(name=name, value=version(name))
        except PackageNotFoundError:
            needed = name != "replayt"
            yield Finding(
                name=name,
                value="missing",
                level="error" if needed else "ok",
                note=f"pip install {name}" if needed else "",
            )
    found = find_spec("yaml") is not None
    yield Finding(
        name="yaml_extra",
        value="installed" if found else "missing",
        note="" if found else "pip install replayt[yaml]",
    )

    yield _duckdb()


def _duckdb() -> Finding:
    if find_spec("duckdb") is None:
        note = "stats and query need it: pip install 'replayt-store[duckdb]'"
        return Finding(name="duckdb", value="missing", level="warning", note=note)
    try:
        return Finding(name="duckdb", value=version("duckdb"))
    except PackageNotFoundError:
        return Finding(name="duckdb", value="installed")


def _model(day: date) -> Iterator[Finding]:
    from replayt_llm import LLMSettings

    try:
        settings = LLMSettings.from_env()
    except LLMError as error:
        yield Finding(name="provider", value="unusable", level="error", note=error.message)
        return
    url = settings.url
    yield Finding(name="provider", value=settings.provider)
    yield Finding(name="base_url", value=url.public if url else "none")
    yield _retirement(settings.provider, settings.model, day)
    if settings.api_key:
        yield Finding(name="api_key", value="set")
    elif not settings.preset.needs_key:
        yield Finding(name="api_key", value="not set", note=f"{settings.provider} needs none")
    else:
        try:
            settings.check()
        except LLMError as error:
            yield Finding(name="api_key", value="not set", level="warning", note=error.message)
        else:
            yield Finding(name="api_key", value="not set", note="not needed there")


def _retirement(provider: str, model: str | None, day: date) -> Finding:
    from replayt_llm import RETIREMENTS

    end = RETIREMENTS.get(model or "") if provider == "openai" else None
    if model is None:
        note = "set REPLAYT_MODEL"
        return Finding(name="model", value="none", level="warning", note=note)
    if end is None:
        return Finding(name="model", value=model)
    days = (date.fromisoformat(end) - day).days
    word = f"was to end on {end}" if days < 0 else f"ends on {end}"
    return Finding(
        name="model",
        value=model,
        level="warning",
        note=f"{word}, as its vendor announced; set REPLAYT_MODEL to another",
    )


def _connectivity() -> Iterator[Finding]:
    from replayt_llm import LLMSettings, probe

    name = "provider_connectivity"
    try:
        found = probe(LLMSettings.from_env(), timeout_seconds=_PROBE_SECONDS)
    except LLMError:
        yield Finding(name=name, value="skipped", note="no request was made")
        return
    # Why it was skipped, the findings about provider and key say already.
    note = "no request was made" if found.outcome == "skipped" else found.detail
    bad = found.outcome in ("unreachable", "unauthorized")
    yield Finding(name=name, value=found.outcome, level="warning" if bad else "ok", note=note)


def _stores(choice: StoreChoice) -> Iterator[Finding]:
    yield _schemes()
    if choice.mirror is not None:
        problem = _unwritable(Path(choice.mirror).parent)
        yield Finding(
            name="sqlite",
            value=choice.mirror,
            level="error" if problem else "ok",
            note=problem or "",
        )
    if choice.url is not None:
        try:
            choice.open()
        except ReplaytError as error:
            yield Finding(name="store", value="unusable", level="error", note=str(error))
        else:
            scheme = choice.url.partition("://")[0]
            yield Finding(name="store", value=scheme)
        return
    directory = Path(choice.log_dir or DEFAULT_LOG_DIR)
    problem = _unwritable(directory)
    yield Finding(
        name="log_dir",
        value=str(directory),
        level="error" if problem else "ok",
        note=problem or ("" if directory.exists() else "will be created by the first run"),
    )


def _schemes() -> Finding:
    """The stores that can be named by a URL; what is registered and cannot be loaded is said."""
    from replayt_store.registry import GROUP

    usable, broken = set(_BUILT_IN), []
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            # Someone else's package; whatever is wrong with it must not break this command.
            problem = f"{type(error).__name__}: {error}"
            broken.append(f"{point.name}:// ({point.value}) cannot be loaded: {problem}")
        else:
            usable.add(point.name)
    return Finding(
        name="stores",
        value=", ".join(sorted(usable)),
        level="warning" if broken else "ok",
        note="; ".join(sorted(broken)),
    )


def _unwritable(directory: Path) -> str | None:
    """Why logs cannot be written there; None when they can. Looks, and creates nothing."""
    place = Path(os.path.abspath(directory))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is no directory"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} cannot be written"
    return None
