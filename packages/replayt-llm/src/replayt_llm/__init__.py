"""The OpenAI-compatible chat client for replayt workflows, with settings and provider presets."""

from __future__ import annotations

from replayt_llm._probe import Probe, probe
from replayt_llm.client import OpenAICompatClient
from replayt_llm.environment import client_factory_from_env
from replayt_llm.offline import OfflineClient
from replayt_llm.presets import PRESETS, RETIREMENTS, Preset
from replayt_llm.settings import LLMSettings

__all__ = [
    "PRESETS",
    "RETIREMENTS",
    "LLMSettings",
    "OfflineClient",
    "OpenAICompatClient",
    "Preset",
    "Probe",
    "client_factory_from_env",
    "probe",
]
