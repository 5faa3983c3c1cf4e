"""The presets say what the vendors document, in the shape that their readers rely on."""

from __future__ import annotations

import pytest

from ampmap.config.presets import PRESETS
from ampmap.formats.registry import AUTHS, FORMATS

OF_GATEWAYS = ("anthropic", "openai-chat", "openai-responses", "gemini")


@pytest.mark.parametrize(
    ("name", "base_url", "endpoints"),
    [
        (
            "anthropic",
            "https://api.anthropic.com",
            {"anthropic": ("", "x-api-key")},
        ),
        (
            "openai",
            "https://api.openai.com",
            {"openai-chat": ("", "bearer"), "openai-responses": ("", "bearer")},
        ),
        (
            "gemini",
            "https://generativelanguage.googleapis.com",
            {"gemini": ("", "x-goog-api-key"), "openai-chat": ("/v1beta/openai", "bearer")},
        ),
        (
            "openrouter",
            "https://openrouter.ai/api",
            dict.fromkeys(("openai-chat", "openai-responses", "anthropic"), ("", "bearer")),
        ),
        (
            "deepseek",
            "https://api.deepseek.com",
            {"openai-chat": ("", "bearer"), "anthropic": ("/anthropic", "bearer")},
        ),
        (
            "moonshot",
            "https://api.moonshot.ai",
            {"openai-chat": ("", "bearer"), "anthropic": ("/anthropic", "bearer")},
        ),
        ("mistral", "https://api.mistral.ai", {"openai-chat": ("", "bearer")}),
        ("groq", "https://api.groq.com/openai", {"openai-chat": ("", "bearer")}),
        ("xai", "https://api.x.ai", {"openai-chat": ("", "bearer")}),
        (
            "zai",
            "https://api.z.ai/api",
            {"openai-chat": ("/paas/v4", "bearer"), "anthropic": ("/anthropic", "bearer")},
        ),
        *(
            (name, base_url, dict.fromkeys(("openai-chat", "openai-responses", "anthropic"), ("", "bearer")))
            for name, base_url in (
                ("ollama", "http://127.0.0.1:11434"),
                ("lmstudio", "http://127.0.0.1:1234"),
                ("vllm", "http://127.0.0.1:8000"),
                ("llamacpp", "http://127.0.0.1:8080"),
            )
        ),
        ("litellm", "http://127.0.0.1:4000", dict.fromkeys(OF_GATEWAYS, ("", "bearer"))),
        ("cliproxyapi", "http://127.0.0.1:8317", dict.fromkeys(OF_GATEWAYS, ("", "bearer"))),
    ],
)
def test_a_preset_is_what_its_vendor_documents(name: str, base_url: str, endpoints: dict[str, tuple[str, str]]) -> None:
    preset = PRESETS[name]

    assert base_url == f"{preset.origin}{preset.base_path}"
    assert endpoints == {e.protocol: (e.base_path, e.auth) for e in preset.endpoints}


def test_there_are_sixteen() -> None:
    assert {
        "anthropic",
        "openai",
        "gemini",
        "openrouter",
        "deepseek",
        "moonshot",
        "mistral",
        "groq",
        "xai",
        "zai",
        "ollama",
        "lmstudio",
        "vllm",
        "llamacpp",
        "litellm",
        "cliproxyapi",
    } == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_the_shape_that_its_readers_rely_on(name: str) -> None:
    preset = PRESETS[name]
    paths = [preset.base_path, *(endpoint.base_path for endpoint in preset.endpoints)]

    assert name == preset.name
    assert preset.key_env.isupper()
    assert all(path == "" or (path.startswith("/") and not path.endswith("/")) for path in paths)
    assert all(e.protocol in FORMATS and e.auth in AUTHS for e in preset.endpoints)
    assert len(preset.endpoints) == len({e.protocol for e in preset.endpoints})


def test_the_environment_makes_providers_of_the_four_vendors() -> None:
    vendors = {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"}
    assert vendors == {preset.key_env for preset in PRESETS.values() if preset.from_env}


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["openai"]  # type: ignore[index]
