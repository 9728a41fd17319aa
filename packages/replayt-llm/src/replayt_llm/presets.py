"""The providers that are known by name: one table, one row a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pydantic import JsonValue

StructuredMode = Literal["json_schema", "json_object", "prompt"]
"""How a reply is held to a schema: enforced by the server, JSON only, or asked for in words.

In the last two the schema stands in the prompt. In every mode core validates the reply.
"""

TokenLimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What is known about a provider before any call is made.

    `base_url` or `default_model` is None where only the user can know it. `tried` says whether this
    row was run against the real thing in this repository's tests; the others are from vendors'
    documentation and may have aged.
    """

    name: str
    base_url: str | None
    default_model: str | None
    key_variables: tuple[str, ...]
    needs_key: bool = True
    token_limit_field: TokenLimitField = "max_tokens"  # noqa: S105 - no password
    structured_mode: StructuredMode = "json_schema"
    strict_subset: bool = True
    """Whether schemas are cut to the strict subset; servers that compile grammars take all."""
    accepts_sampling: bool = True
    seed_field: str | None = "seed"
    extra_body: Mapping[str, JsonValue] = field(default_factory=lambda: MappingProxyType({}))
    tried: bool = False


_ROWS = (
    Preset(
        name="openai",
        base_url="https://api.openai.com/v1",
        default_model="gpt-4o-mini",
        key_variables=("OPENAI_API_KEY",),
        token_limit_field="max_completion_tokens",  # noqa: S106 - no password
    ),
    Preset(
        name="azure",
        base_url=None,  # https://RESOURCE.openai.azure.com/openai/v1
        default_model=None,  # the name of a deployment
        key_variables=("AZURE_OPENAI_API_KEY",),
        token_limit_field="max_completion_tokens",  # noqa: S106 - no password
    ),
    Preset(
        name="anthropic",
        base_url="https://api.anthropic.com/v1",
        default_model="claude-haiku-5-5",
        key_variables=("ANTHROPIC_API_KEY",),
        # The compatible endpoint ignores response_format and seed without a word.
        structured_mode="prompt",
        accepts_sampling=False,
        seed_field=None,
    ),
    Preset(
        name="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        default_model="gemini-3.8-flash",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        accepts_sampling=False,
    ),
    Preset(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        default_model="openai/gpt-oss-20b",
        key_variables=("GROQ_API_KEY",),
    ),
    Preset(
        name="together",
        base_url="https://api.together.xyz/v1",
        default_model=None,  # its catalogue changes every few months
        key_variables=("TOGETHER_API_KEY",),
    ),
    Preset(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        default_model="openai/gpt-5.4-mini",
        key_variables=("OPENROUTER_API_KEY",),
        # Without it the router may pick a host that ignores the schema.
        extra_body=MappingProxyType({"provider": {"require_parameters": True}}),
    ),
    Preset(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        default_model="mistral-small-2603",
        key_variables=("MISTRAL_API_KEY",),
        seed_field="random_seed",
    ),
    Preset(
        name="deepseek",
        base_url="https://api.deepseek.com",
        default_model="deepseek-v4-flash",
        key_variables=("DEEPSEEK_API_KEY",),
        structured_mode="json_object",  # it answers json_schema with a 400
    ),
    Preset(
        name="xai",
        base_url="https://api.x.ai/v1",
        default_model="grok-4.7",
        key_variables=("XAI_API_KEY",),
    ),
    Preset(
        name="ollama",
        base_url="http://127.0.0.1:11434/v1",
        default_model="gpt-oss:20b",
        key_variables=("OLLAMA_API_KEY",),
        needs_key=False,
        strict_subset=False,
    ),
    Preset(
        name="vllm",
        base_url="http://127.0.0.1:8000/v1",
        default_model=None,  # whatever the server was started with
        key_variables=("VLLM_API_KEY",),
        needs_key=False,
        strict_subset=False,
    ),
    Preset(
        name="lmstudio",
        base_url="http://127.0.0.1:1234/v1",
        default_model=None,
        key_variables=("LMSTUDIO_API_KEY",),
        needs_key=False,
        strict_subset=False,
    ),
    Preset(
        name="llamacpp",
        base_url="http://127.0.0.1:8080/v1",
        default_model="default",  # the server has one model and takes any name
        key_variables=("LLAMA_API_KEY",),
        needs_key=False,
        strict_subset=False,
        tried=True,
    ),
    Preset(
        name="offline",
        base_url=None,
        default_model="offline (no model was called)",
        key_variables=(),
        needs_key=False,
        strict_subset=False,
        tried=True,
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({row.name: row for row in _ROWS})
"""Every provider by its name."""

RETIREMENTS: Mapping[str, str] = MappingProxyType(
    {
        "gpt-5": "2026-12-11",
        "gpt-5-mini": "2026-12-11",
        "gpt-5-nano": "2026-12-11",
        "o3": "2026-12-11",
        "gpt-4o": "2027-01-14",
        "gpt-4o-mini": "2027-01-14",
        "gpt-4.1": "2027-01-14",
        "gpt-4.1-mini": "2027-01-14",
        "gpt-5.1": "2027-04-01",
        "gpt-5.4-nano": "2027-04-01",
        "gpt-4.1-nano": "2026-10-23",
        "o4-mini": "2026-10-23",
    }
)
"""Models of the `openai` provider with an announced end, and the day, as YYYY-MM-DD."""
