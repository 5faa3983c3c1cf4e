"""The profile of a provider: how it differs from others of its wire format. Pure values; translators read it.

The defaults fit an unknown provider: they are what most servers take. ``config.presets`` changes them for known
providers, and ``config.profiles`` lays a user's ``profile:`` over that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one provider takes and wants. Users can set the first eight under ``profile:``, with dashes for underscores.

    * ``max_output``: the most tokens of a reply that may be asked for; None if that is not known.
    * ``max_tokens_key``: the member in which Chat Completions takes that limit.
    * ``effort``: the words for reasoning effort that the provider takes; empty if it takes no effort.
    * ``reasoning_field``: the member of a chat message in which it wants reasoning back; empty if it wants none.
    * ``files``: it takes documents. ``strict_schemas``: it takes ``strict`` on tools.
    * ``mid_system``: ``keep`` if a system message may stand behind others; ``fold`` puts it into the user's text.
    * ``stream_usage``: it takes ``stream_options.include_usage``.
    * ``effort_with_tools``: it takes effort beside tools. ``thinking_switch``: the member that turns reasoning on and
      off. ``forced_with_thinking``: it takes a forced tool while it thinks.
    * ``developer_role``, ``tool_content_parts`` (images within a tool's result), ``images``, ``stop_max``,
      ``json_schema``, ``parallel_tool_calls``, ``prompt_cache_key``, ``cache_control`` (Messages' marks),
      ``top_level_cache_control`` (Messages' mark for the whole request), ``custom_tools``, ``web_search``,
      ``verbosity``, ``top_k``, ``prefill``: it takes these.
    * ``tool_id``: ``any`` for ids of up to ``tool_id_max`` characters, ``nine`` for exactly nine letters and digits.
    * ``tool_name_max``: the longest name of a tool.
    """

    max_output: int | None = None
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    effort: tuple[str, ...] = ()
    reasoning_field: Literal["", "reasoning_content", "reasoning", "reasoning_details"] = ""
    files: bool = False
    strict_schemas: bool = False
    mid_system: Literal["keep", "fold"] = "fold"
    stream_usage: bool = True

    effort_with_tools: bool = True
    thinking_switch: Literal["", "thinking", "enable_thinking", "chat_template_kwargs", "reasoning"] = ""
    forced_with_thinking: bool = True
    developer_role: bool = False
    tool_content_parts: bool = False
    images: bool = True
    stop_max: int = 4
    json_schema: bool = True
    parallel_tool_calls: bool = True
    prompt_cache_key: bool = False
    cache_control: bool = False
    top_level_cache_control: bool = True
    custom_tools: bool = False
    web_search: bool = False
    verbosity: bool = False
    top_k: bool = False
    prefill: Literal["", "native", "continue_final_message", "prefix"] = ""
    tool_id: Literal["any", "nine"] = "any"
    tool_id_max: int = 64
    tool_name_max: int = 64


UNKNOWN = Profile()
"""The profile of a provider of which nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a translated request goes to: the provider's profile, its tag for seals, and its ``model``.

    ``listed`` is the entry of the model in the provider's own list, as far as it was kept (``max_tokens``,
    ``capabilities``); empty if nothing is known.
    """

    model: str
    profile: Profile = UNKNOWN
    maker: str = ""
    listed: Mapping[str, Any] | None = None
