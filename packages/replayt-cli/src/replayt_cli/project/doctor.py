"""What `doctor` looks at, and where each setting comes from. Nothing is changed or created."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from replayt_cli.arguments.options import DEFAULT_LOG_DIR
from replayt_cli.arguments.store_choice import StoreChoice
from replayt_cli.errors import UsageError
from replayt_cli.project.config import Config
from replayt_cli.project.finding import Finding
from replayt_cli.project.installed import installed
from replayt_cli.project.settings import (
    BASE_URL,
    MODEL,
    PRICES,
    PROVIDER,
    is_set,
    model_environment,
)
from replayt_core import LLMError, LogMode, ReplaytError

if TYPE_CHECKING:
    from replayt_llm import LLMSettings

_PROBE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the findings depend on: the options and the configuration, the environment, the day.

    `config_problem` says why the configuration cannot be used; then the choice is made without it.
    """

    choice: StoreChoice
    config_problem: str | None
    env: Mapping[str, str]
    today: date

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.choice.config

    def source(self, key: str, *, option: str | None = None, variable: str | None = None) -> str:
        """Where the value of a setting comes from."""
        if option is not None and option in self.choice.options:
            return option
        if variable is not None and is_set(self.env, variable):
            return variable
        return "default" if getattr(self.config, key) is None else self.config.origin(key)


def diagnose(
    choice: StoreChoice,
    *,
    config_problem: str | None = None,
    env: Mapping[str, str] | None = None,
    today: date | None = None,
) -> list[Finding]:
    """All findings, in the order they are shown."""
    case = Circumstances(
        choice=choice,
        config_problem=config_problem,
        env=os.environ if env is None else env,
        today=today or datetime.now(timezone.utc).date(),
    )
    return [*installed(), _config(case), *_model(case), *_stores(case), *_runs(case)]


def _config(case: Circumstances) -> Finding:
    if case.config_problem is not None:
        return Finding(name="config", value="unusable", level="error", note=case.config_problem)
    file = case.config.file
    return Finding(name="config", value=file or "none", note="" if file else "no file, no keys")


# --- the model ------------------------------------------------------------------------------------


def _model(case: Circumstances) -> Iterator[Finding]:
    from replayt_llm import LLMSettings

    try:
        env = model_environment(case.config, case.env)
        settings = LLMSettings.from_env(env)
    except (LLMError, UsageError) as error:
        note = error.message if isinstance(error, LLMError) else str(error)
        source = case.source("provider", variable=PROVIDER)
        yield Finding(name="provider", value="unusable", level="error", note=note, source=source)
        yield _connectivity(None)
        return
    url = settings.url
    yield Finding(
        name="provider",
        value=settings.provider,
        source=case.source("provider", variable=PROVIDER),
    )
    given = is_set(case.env, BASE_URL)
    yield Finding(
        name="base_url",
        value=url.public if url else "none",
        source=BASE_URL if given else "default",
    )
    yield _model_name(case, settings, configured=env is not case.env and is_set(env, MODEL))
    yield _key(settings, env)
    yield _connectivity(settings)


def _model_name(case: Circumstances, settings: LLMSettings, *, configured: bool) -> Finding:
    from replayt_llm import RETIREMENTS

    model = settings.model
    source = case.source("model", variable=MODEL)
    if not configured and not is_set(case.env, MODEL):
        source = "default"  # also where the one of the file belongs to another provider
    if model is None:
        note = f"set {MODEL}"
        return Finding(name="model", value="none", level="warning", note=note, source=source)
    end = RETIREMENTS.get(model) if settings.provider == "openai" else None
    if end is None:
        return Finding(name="model", value=model, source=source)
    days = (date.fromisoformat(end) - case.today).days
    word = f"was to end on {end}" if days < 0 else f"ends on {end}"
    return Finding(
        name="model",
        value=model,
        level="warning",
        note=f"{word}, as its vendor announced; set {MODEL} to another",
        source=source,
    )


def _key(settings: LLMSettings, env: Mapping[str, str]) -> Finding:
    if settings.api_key:
        names = (*settings.preset.key_variables, "OPENAI_API_KEY")
        used = next(name for name in names if is_set(env, name))
        return Finding(name="api_key", value="set", source=used)
    if not settings.preset.needs_key:
        return Finding(name="api_key", value="not set", note=f"{settings.provider} needs none")
    try:
        settings.check()
    except LLMError as error:
        return Finding(name="api_key", value="not set", level="warning", note=error.message)
    return Finding(name="api_key", value="not set", note="not needed there")


def _connectivity(settings: LLMSettings | None) -> Finding:
    from replayt_llm import probe

    name = "provider_connectivity"
    if settings is None:
        return Finding(name=name, value="skipped", note="no request was made")
    found = probe(settings, timeout_seconds=_PROBE_SECONDS)
    # Why it was skipped, the findings about provider and key say already.
    note = "no request was made" if found.outcome == "skipped" else found.detail
    bad = found.outcome in ("unreachable", "unauthorized")
    return Finding(name=name, value=found.outcome, level="warning" if bad else "ok", note=note)


# --- where logs go --------------------------------------------------------------------------------


def _stores(case: Circumstances) -> Iterator[Finding]:
    choice = case.choice
    if choice.url is not None:
        yield _store_url(case, choice.url)
    else:
        directory = Path(choice.log_dir or DEFAULT_LOG_DIR)
        problem = _unwritable(directory)
        yield Finding(
            name="log_dir",
            value=str(directory),
            level="error" if problem else "ok",
            note=problem or ("" if directory.exists() else "will be created by the first run"),
            source=case.source("log_dir", option="--log-dir"),
        )
    if choice.mirror is not None:
        problem = _unwritable_file(Path(choice.mirror))
        yield Finding(
            name="sqlite",
            value=choice.mirror,
            level="error" if problem else "ok",
            note=problem or "",
            source=case.source("sqlite", option="--sqlite"),
        )


def _store_url(case: Circumstances, url: str) -> Finding:
    source = case.source("store", option="--store")
    try:
        store = case.choice.open()
    except ReplaytError as error:
        return Finding(
            name="store", value="unusable", level="error", note=str(error), source=source
        )
    primary = getattr(store, "primary", store)
    directory, file = getattr(primary, "directory", None), getattr(primary, "file", None)
    problem = None
    if directory is not None:
        problem = _unwritable(Path(directory))
    elif file is not None:
        problem = _unwritable_file(Path(file))
    return Finding(
        name="store",
        value=url.partition("://")[0],
        level="error" if problem else "ok",
        note=problem or str(directory or file or ""),
        source=source,
    )


def _unwritable_file(file: Path) -> str | None:
    """Why a file cannot be written; None when it can. Looks, and creates nothing."""
    if file.is_dir():
        return f"{file} is a directory"
    if file.exists() and not os.access(file, os.W_OK):
        return f"{file} cannot be written"
    return _unwritable(file.parent)


def _unwritable(directory: Path) -> str | None:
    """Why logs cannot be written there; None when they can. Looks, and creates nothing."""
    try:
        place = Path(os.path.abspath(directory))
    except FileNotFoundError:
        return "the working directory is gone: go to another"
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is no directory"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} cannot be written"
    return None


# --- what holds for runs --------------------------------------------------------------------------


def _runs(case: Circumstances) -> Iterator[Finding]:
    config = case.config
    yield Finding(
        name="log_mode",
        value=config.log_mode or LogMode.redacted.value,
        source=case.source("log_mode"),
    )
    yield Finding(
        name="timeout",
        value="none" if config.timeout is None else f"{config.timeout:g}",
        source=case.source("timeout"),
    )
    yield _prices(case)


def _prices(case: Circumstances) -> Finding:
    from replayt_store.prices import load_prices

    file = case.env.get(PRICES, "").strip() or case.config.prices
    source = case.source("prices", variable=PRICES)
    if file is None:
        return Finding(name="prices", value="none", source=source)
    try:
        load_prices(file)
    except ReplaytError as error:
        return Finding(name="prices", value=file, level="warning", note=str(error), source=source)
    return Finding(name="prices", value=file, source=source)
