"""What is known of each kind of provider: where it answers, which protocols it speaks, how it wants its key.

A table. ``providers`` lays what the user wrote over it; any part may be overridden. Each entry names the document that
it was taken from, so that it can be checked again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..formats.conversation import EFFORTS
from ..settings import Endpoint, Origin, Protocol

HARMLESS_PATH = re.compile(r"(?:/(?:api|v[0-9][a-z0-9]*|openai|anthropic))*")
"""A base path as vendors document theirs: no segment of it can be a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One kind of provider.

    The ``base_path`` of an endpoint here is what its protocol needs *after* the base URL: a user who gives another
    base URL keeps it. ``key_env`` is the variable in which the vendor's own tools look for the key; with ``from_env``,
    a key found there makes a provider when no file names any. ``variants`` is as in :class:`~ampmap.settings.Provider`.

    ``profiles`` has, by protocol, the fields of :class:`~ampmap.formats.profile.Profile` in which the provider differs
    from what is known of its wire format. Requests in a protocol that it does not speak are translated into
    ``preferred`` if that is given, otherwise into the first of its protocols in the order of ``formats.registry``.
    """

    name: str
    origin: Origin
    base_path: str = ""
    endpoints: tuple[Endpoint, ...]
    key_env: str = ""
    from_env: bool = False
    variants: bool = False
    preferred: Protocol = ""
    profiles: Mapping[Protocol, Mapping[str, Any]] = field(default_factory=dict)


_ANTHROPIC = Endpoint(protocol="anthropic")
_CHAT = Endpoint(protocol="openai-chat")
_RESPONSES = Endpoint(protocol="openai-responses")
_GEMINI = Endpoint(protocol="gemini")

# Servers that imitate Messages refuse the mark for the whole request, or do not know it.
_IMITATION = {"top_level_cache_control": False}
# DeepSeek and Moonshot refuse a turn with calls without its reasoning, and a forced tool beside thinking:
# api-docs.deepseek.com/guides/thinking_mode, platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model.
_WANTS_REASONING = {
    "thinking_switch": "thinking", "reasoning_field": "reasoning_content", "forced_with_thinking": False,
}  # fmt: skip

_TABLE = (
    # platform.claude.com/docs/en/api/overview: x-api-key. Its imitation of Chat Completions (…/libraries/openai-sdk)
    # loses more than a translation does: a user who wants it lists it under protocols.
    Preset(
        name="anthropic",
        origin=Origin("https", "api.anthropic.com", 443),
        endpoints=(Endpoint(protocol="anthropic", auth="x-api-key"),),
        key_env="ANTHROPIC_API_KEY",
        from_env=True,
        profiles={
            "anthropic": {
                "files": True,
                "strict_schemas": True,
                "mid_system": "keep",
                "web_search": True,
                "tool_name_max": 128,
            },
        },
    ),
    # platform.openai.com/docs/api-reference/authentication: bearer; /v1/chat/completions, /v1/responses.
    Preset(
        name="openai",
        origin=Origin("https", "api.openai.com", 443),
        endpoints=(_CHAT, _RESPONSES),
        key_env="OPENAI_API_KEY",
        from_env=True,
        preferred="openai-responses",  # its Chat Completions refuse effort beside tools from gpt-5.4 on
        profiles={
            "openai-chat": {
                "max_tokens_key": "max_completion_tokens",
                "effort": EFFORTS,
                "effort_with_tools": False,
                "developer_role": True,
                "mid_system": "keep",
                "files": True,
                "strict_schemas": True,
                "prompt_cache_key": True,
                "custom_tools": True,
                "verbosity": True,
                "tool_id_max": 40,
            },
            "openai-responses": {
                "effort": EFFORTS,
                "mid_system": "keep",
                "files": True,
                "strict_schemas": True,
                "prompt_cache_key": True,
                "custom_tools": True,
                "web_search": True,
                "verbosity": True,
            },
        },
    ),
    # ai.google.dev/api: x-goog-api-key, /v1beta/models/MODEL:METHOD. ai.google.dev/gemini-api/docs/openai: bearer,
    # https://generativelanguage.googleapis.com/v1beta/openai/chat/completions.
    Preset(
        name="gemini",
        origin=Origin("https", "generativelanguage.googleapis.com", 443),
        endpoints=(
            Endpoint(protocol="gemini", auth="x-goog-api-key"),
            Endpoint(protocol="openai-chat", base_path="/v1beta/openai"),
        ),
        key_env="GEMINI_API_KEY",
        from_env=True,
        preferred="gemini",
        profiles={"openai-chat": {"effort": ("minimal", "low", "medium", "high")}},
    ),
    # openrouter.ai/docs/api/api-reference/anthropic-messages/create-a-message: bearer, /api/v1/messages; beside it
    # /api/v1/chat/completions and /api/v1/responses. …/docs/guides/routing/model-variants: a suffix to any model.
    Preset(
        name="openrouter",
        origin=Origin("https", "openrouter.ai", 443),
        base_path="/api",
        endpoints=(_CHAT, _RESPONSES, _ANTHROPIC),
        key_env="OPENROUTER_API_KEY",
        from_env=True,
        variants=True,
        # openrouter.ai/docs/use-cases/reasoning-tokens, …/features/prompt-caching
        profiles={
            "openai-chat": {
                "thinking_switch": "reasoning",
                "effort": ("none", "minimal", "low", "medium", "high", "xhigh"),
                "reasoning_field": "reasoning_details",
                "cache_control": True,
                "files": True,
            },
        },
    ),
    # api-docs.deepseek.com: https://api.deepseek.com/chat/completions (/v1 is left out or put in), bearer.
    # …/quick_start/agent_integrations/claude_code: https://api.deepseek.com/anthropic, ANTHROPIC_AUTH_TOKEN: bearer.
    Preset(
        name="deepseek",
        origin=Origin("https", "api.deepseek.com", 443),
        endpoints=(_CHAT, Endpoint(protocol="anthropic", base_path="/anthropic")),
        key_env="DEEPSEEK_API_KEY",
        profiles={
            # api-docs.deepseek.com/api/create-chat-completion: JSON mode, and no schemas
            "openai-chat": {**_WANTS_REASONING, "effort": ("low", "high", "max"), "json_schema": False},
            "anthropic": _IMITATION,
        },
    ),
    # platform.moonshot.ai/docs/api/chat: https://api.moonshot.ai/v1/chat/completions, bearer.
    # …/docs/guide/agent-support: https://api.moonshot.ai/anthropic, ANTHROPIC_AUTH_TOKEN: bearer.
    Preset(
        name="moonshot",
        origin=Origin("https", "api.moonshot.ai", 443),
        endpoints=(_CHAT, Endpoint(protocol="anthropic", base_path="/anthropic")),
        key_env="MOONSHOT_API_KEY",
        profiles={"openai-chat": _WANTS_REASONING, "anthropic": _IMITATION},
    ),
    # docs.mistral.ai/api: https://api.mistral.ai/v1/chat/completions, /v1/models; bearer.
    Preset(
        name="mistral",
        origin=Origin("https", "api.mistral.ai", 443),
        endpoints=(_CHAT,),
        key_env="MISTRAL_API_KEY",
        # Ids of calls have nine letters and digits. It states usage unasked, and answers stream_options with 422.
        # docs.mistral.ai/capabilities/completion/prefix: its own member for the beginning of an answer.
        profiles={"openai-chat": {"tool_id": "nine", "stream_usage": False, "prefill": "prefix"}},
    ),
    # console.groq.com/docs/openai: base URL https://api.groq.com/openai/v1, bearer.
    Preset(
        name="groq",
        origin=Origin("https", "api.groq.com", 443),
        base_path="/openai",
        endpoints=(_CHAT,),
        key_env="GROQ_API_KEY",
    ),
    # docs.x.ai/docs/api-reference: https://api.x.ai/v1/chat/completions, bearer. Its /v1/messages is deprecated there.
    Preset(
        name="xai",
        origin=Origin("https", "api.x.ai", 443),
        endpoints=(_CHAT,),
        key_env="XAI_API_KEY",
    ),
    # docs.z.ai/api-reference/introduction: https://api.z.ai/api/paas/v4/chat/completions, bearer.
    # docs.z.ai/devpack/tool/claude: https://api.z.ai/api/anthropic, ANTHROPIC_AUTH_TOKEN: bearer.
    Preset(
        name="zai",
        origin=Origin("https", "api.z.ai", 443),
        base_path="/api",
        endpoints=(
            Endpoint(protocol="openai-chat", base_path="/paas/v4"),
            Endpoint(protocol="anthropic", base_path="/anthropic"),
        ),
        key_env="ZAI_API_KEY",
        # docs.z.ai/guides/capabilities/thinking-mode
        profiles={
            "openai-chat": {"thinking_switch": "thinking", "reasoning_field": "reasoning_content"},
            "anthropic": _IMITATION,
        },
    ),
    # docs.ollama.com/api/openai-compatibility: chat, completions, embeddings, and responses since 0.13.3;
    # docs.ollama.com/api/anthropic-compatibility: /v1/messages. The local server ignores keys, its cloud takes bearer.
    Preset(
        name="ollama",
        origin=Origin("http", "127.0.0.1", 11434),
        endpoints=(_CHAT, _RESPONSES, _ANTHROPIC),
        key_env="OLLAMA_API_KEY",
        profiles={
            "openai-chat": {"effort": ("none", "low", "medium", "high"), "reasoning_field": "reasoning"},
            "anthropic": _IMITATION,
        },
    ),
    # lmstudio.ai/docs/developer/openai-compat and …/anthropic-compat: all three at port 1234; a key only where
    # "Require Authentication" is on, then bearer or x-api-key.
    Preset(
        name="lmstudio",
        origin=Origin("http", "127.0.0.1", 1234),
        endpoints=(_CHAT, _RESPONSES, _ANTHROPIC),
        key_env="LM_API_TOKEN",
        profiles={
            "openai-chat": {"top_k": True, "reasoning_field": "reasoning_content"},
            "anthropic": _IMITATION,
        },
    ),
    # docs.vllm.ai/en/stable/serving/online_serving: /v1/chat/completions, /v1/responses, /v1/messages and its
    # count_tokens, port 8000; bearer where the server was started with --api-key.
    Preset(
        name="vllm",
        origin=Origin("http", "127.0.0.1", 8000),
        endpoints=(_CHAT, _RESPONSES, _ANTHROPIC),
        key_env="VLLM_API_KEY",
        profiles={
            "openai-chat": {"top_k": True, "reasoning_field": "reasoning", "prefill": "continue_final_message"},
            "anthropic": _IMITATION,
        },
    ),
    # github.com/ggml-org/llama.cpp tools/server/README.md: /v1/chat/completions, /v1/responses, /v1/messages and its
    # count_tokens, port 8080; bearer where the server was started with --api-key.
    Preset(
        name="llamacpp",
        origin=Origin("http", "127.0.0.1", 8080),
        endpoints=(_CHAT, _RESPONSES, _ANTHROPIC),
        key_env="LLAMA_API_KEY",
        profiles={
            "openai-chat": {"top_k": True, "reasoning_field": "reasoning_content"},
            "anthropic": _IMITATION,
        },
    ),
    # docs.litellm.ai/docs/anthropic_unified, …/response_api and …/generateContent: all four at port 4000, each with
    # "authorization: Bearer KEY" (generateContent at /v1beta/models/MODEL:METHOD too).
    Preset(
        name="litellm",
        origin=Origin("http", "127.0.0.1", 4000),
        endpoints=(_ANTHROPIC, _CHAT, _RESPONSES, _GEMINI),
        key_env="LITELLM_API_KEY",
        profiles={"openai-chat": {"cache_control": True}, "anthropic": _IMITATION},
    ),
    # github.com/router-for-me/CLIProxyAPI README and internal/api: /v1/chat/completions, /v1/responses, /v1/messages,
    # /v1beta/models/*action at port 8317; one list of api-keys for all, taken as bearer.
    Preset(
        name="cliproxyapi",
        origin=Origin("http", "127.0.0.1", 8317),
        endpoints=(_ANTHROPIC, _CHAT, _RESPONSES, _GEMINI),
        key_env="CLIPROXYAPI_KEY",
        profiles={"anthropic": _IMITATION},
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _TABLE})
