"""Requests as LiteLLM's own functions translate them, without a network. To import this takes seconds: LiteLLM does."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise the import asks GitHub for a list

import litellm
from litellm.google_genai.adapters.transformation import GoogleGenAIAdapter
from litellm.llms.anthropic.messages.adapters.transformation import AnthropicAdapter
from litellm.llms.vertex_ai.gemini.transformation import sync_transform_request_body
from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig
from litellm.utils import get_optional_params

from ampmap.formats.base import Json


def messages_to_chat(request: Json, model: str) -> Any:
    chat: Any = AnthropicAdapter().translate_completion_input_params({**request, "model": model})
    if request.get("stream"):
        chat["stream_options"] = {"include_usage": True}  # its handler adds this
    return _to_openai(chat, model)


def responses_to_chat(request: Json, model: str) -> Any:
    options: Any = {key: value for key, value in request.items() if key not in ("model", "input", "stream")}
    chat = LiteLLMCompletionResponsesConfig.transform_responses_api_request_to_chat_completion_request(
        model=model,
        input=request["input"],
        responses_api_request=options,
        custom_llm_provider="openai",
        stream=request.get("stream"),
    )
    return _to_openai({key: value for key, value in chat.items() if key != "custom_llm_provider"}, model)


def gemini_to_chat(request: Json, model: str) -> Any:
    chat = GoogleGenAIAdapter().translate_generate_content_to_completion(
        model=model,
        contents=request["contents"],
        config=request.get("generationConfig"),
        **{key: request[key] for key in ("systemInstruction", "tools", "toolConfig") if key in request},
    )
    return _to_openai(chat, model)


def chat_to_messages(request: Json, model: str) -> Any:
    options = _options(request, model, "anthropic")
    options.pop("json_mode", None)  # a note of LiteLLM's to itself
    return litellm.AnthropicConfig().transform_request(
        model=model,
        messages=_messages(request, model, "anthropic"),
        optional_params=options,
        litellm_params={},
        headers={},
    )


def chat_to_gemini(request: Json, model: str) -> Any:
    unused: Any = None
    return sync_transform_request_body(
        gemini_api_key=unused,
        messages=_messages(request, model, "gemini"),
        api_base=unused,
        model=model,
        client=unused,
        timeout=unused,
        extra_headers=unused,
        optional_params=_options(request, model, "gemini"),
        logging_obj=unused,
        custom_llm_provider="gemini",
        litellm_params={},
        vertex_project=unused,
        vertex_location=unused,
        vertex_auth_header=unused,
    )


def _to_openai(request: Any, model: str) -> Any:
    """Return what LiteLLM sends to OpenAI for a request that it has made a chat request of."""
    messages = _messages(request, model, "openai")
    options = _options(request, model, "openai")
    sent = litellm.OpenAIGPT5Config().transform_request(model, messages, options, {}, {})
    return sent | sent.pop("extra_body")  # as OpenAI's SDK does


def _messages(request: Json, model: str, provider: str) -> Any:
    config = litellm.utils.ProviderConfigManager.get_provider_chat_config(model, litellm.LlmProviders(provider))
    return config.translate_developer_role_to_system_role(
        request["messages"], model=model, custom_llm_provider=provider, api_base=None, model_info=None
    )


def _options(request: Json, model: str, provider: str) -> Any:
    options = {key: value for key, value in request.items() if key not in ("model", "messages")}
    messages = request["messages"]
    return get_optional_params(model, custom_llm_provider=provider, messages=messages, drop_params=True, **options)
