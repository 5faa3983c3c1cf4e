"""Which Claude a name means, and what it takes."""

from __future__ import annotations

import pytest
from translating import target_of

from ampmap.formats.anthropic.models import model_of


@pytest.mark.parametrize(
    ("name", "thinking", "limit"),
    [
        ("claude-opus-5-5", "adaptive", 128000),
        ("claude-opus-4-8[1m]", "adaptive", 128000),
        ("anthropic/claude-4.6-opus:beta", "adaptive", 128000),
        ("claude-sonnet-4-6", "adaptive", 128000),
        ("claude-opus-4-5@20251101", "budget", 64000),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", 64000),
        ("claude-haiku-4.5", "budget", 64000),
        ("claude-opus-4-1-20250805", "budget", 32000),
        ("claude-opus-4-20250514", "budget", 32000),
        ("claude-sonnet-4-0", "budget", 64000),
        ("claude-3-7-sonnet-latest", "budget", 64000),
        ("Claude-3.5-Haiku", "", 8192),
        ("claude-3-opus-20240229", "", 4096),
        ("claude-opus-4-9", "", None),
        ("claude-opus-12", "", None),
        ("claude-instant", "", None),
        ("my-own-model", "", None),
    ],
)
def test_names(name: str, thinking: str, limit: int | None) -> None:
    found = model_of(target_of("anthropic", name))

    assert (found.thinking, found.max_tokens) == (thinking, limit)


def test_another_vendors_model_takes_what_the_profile_says() -> None:
    profile = {"thinking_switch": "thinking", "effort": ("low", "high"), "prefill": "native", "mid_system": "keep"}
    found = model_of(target_of("anthropic", "deepseek-chat", max_output=500, json_schema=False, **profile))

    assert (found.thinking, found.effort, found.sampling) == ("budget", ("low", "high"), "all")
    assert found.prefill and found.mid_system and not found.structured and found.max_tokens == 500
