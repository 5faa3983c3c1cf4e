"""Replies as LiteLLM translates them, without a network. To import this takes seconds: LiteLLM does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise the import asks GitHub for a list

import httpx
import litellm
import openai
from litellm.google_genai.adapters.transformation import GoogleGenAIAdapter, GoogleGenAIStreamWrapper
from litellm.llms.anthropic.messages.adapters.transformation import AnthropicAdapter
from litellm.llms.custom_httpx.http_handler import HTTPHandler
from litellm.responses.litellm_completion_transformation.streaming_iterator import LiteLLMCompletionStreamingIterator
from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

_TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
_MODELS = {
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-pro",
    "openai-chat": "openai/gpt-5",
}


def chat(provider: str, body: bytes, *, stream: bool) -> Any:
    """Return a provider's reply as LiteLLM gives it to a chat client: an object, or an iterator of chunks."""
    kind = "text/event-stream" if stream else "application/json"
    http = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers={"content-type": kind}))
    )
    sdk: Any = openai.OpenAI
    client = sdk(api_key="k", http_client=http) if provider == "openai-chat" else HTTPHandler(client=http)
    options: Any = {"stream_options": {"include_usage": True}} if stream else {}
    return litellm.completion(
        model=_MODELS[provider], messages=[{"role": "user", "content": "Where is it?"}], tools=_TOOLS,
        api_key="k", client=client, stream=stream, max_retries=0, **options,
    )  # fmt: skip


def whole(provider: str, client: str, body: bytes) -> Any:
    """Return a whole reply in a client's format."""
    reply = chat(provider, body, stream=False)
    if client == "openai-chat":
        return _plain(reply)
    if client == "anthropic":
        return _plain(AnthropicAdapter().translate_completion_output_params(reply))
    if client == "gemini":
        return _plain(GoogleGenAIAdapter().translate_completion_to_generate_content(reply))
    return _plain(
        LiteLLMCompletionResponsesConfig.transform_chat_completion_response_to_responses_api_response(
            request_input="Where is it?", responses_api_request={}, chat_completion_response=reply
        )
    )


def events(provider: str, client: str, body: bytes) -> list[Any]:
    """Return the events of a streamed reply in a client's format."""
    stream = chat(provider, body, stream=True)
    if client == "openai-chat":
        return [_plain(chunk) for chunk in stream]
    if client == "anthropic":
        found = AnthropicAdapter().translate_completion_output_params_streaming(stream, model="m", is_async=False)
        return [*_data(found)]
    if client == "gemini":
        return [_plain(chunk) for chunk in GoogleGenAIStreamWrapper(stream)]
    return [
        _plain(event)
        for event in LiteLLMCompletionStreamingIterator(
            model="m", litellm_custom_stream_wrapper=stream, request_input="Where is it?", responses_api_request={}
        )
    ]


def _data(stream: Any) -> Iterable[Any]:
    for piece in stream:
        for line in piece.decode().splitlines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


def _plain(value: Any) -> Any:
    return value if isinstance(value, dict) else value.model_dump(mode="json")
