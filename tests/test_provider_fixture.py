"""The fixture ``ampmap_provider``, judged by the vendors' own SDKs in all four formats, and by its faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from ampmap.testing import Call, Reply, StandIn

Start = Callable[..., StandIn]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALLS = Reply(
    text="Let me look.",
    calls=[Call("weather", {"city": "Paris"})],
    input_tokens=12,
    output_tokens=7,
    cached_tokens=5,
    reasoning_tokens=2,
)
# What every SDK has to find in CALLS: the text, the call with its arguments, tokens in, out, cached.
FOUND = ("Let me look.", "weather", {"city": "Paris"}, 12, 7, 5)


def by_messages(url: str, stream: bool) -> tuple[object, ...]:
    asked: Any = {
        "model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
    }  # fmt: skip
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        if stream:
            with client.messages.stream(**asked) as events:
                message: Any = events.get_final_message()
        else:
            message = client.messages.create(**asked)
    text, call = message.content
    tokens = message.usage
    cached = tokens.cache_read_input_tokens
    return text.text, call.name, call.input, tokens.input_tokens + cached, tokens.output_tokens, cached


def by_chat(url: str, stream: bool) -> tuple[object, ...]:
    asked: Any = {
        "model": "m", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
    }  # fmt: skip
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        if stream:
            with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
                completion: Any = events.get_final_completion()
        else:
            completion = client.chat.completions.create(**asked)
    message, tokens = completion.choices[0].message, completion.usage
    (call,) = message.tool_calls
    arguments = json.loads(call.function.arguments)
    cached = tokens.prompt_tokens_details.cached_tokens
    return message.content, call.function.name, arguments, tokens.prompt_tokens, tokens.completion_tokens, cached


def by_responses(url: str, stream: bool) -> tuple[object, ...]:
    asked: Any = {
        "model": "m", "input": "hi", "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}],
    }  # fmt: skip
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        if stream:
            with client.responses.stream(**asked) as events:
                response: Any = events.get_final_response()
        else:
            response = client.responses.create(**asked)
    (call,) = (item for item in response.output if item.type == "function_call")
    tokens, arguments = response.usage, json.loads(call.arguments)
    cached = tokens.input_tokens_details.cached_tokens
    return response.output_text, call.name, arguments, tokens.input_tokens, tokens.output_tokens, cached


def by_gemini(url: str, stream: bool) -> tuple[object, ...]:
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=url))
    asked: Any = {"model": "m", "contents": "hi", "config": config}
    models = client.models
    replies = [*models.generate_content_stream(**asked)] if stream else [models.generate_content(**asked)]
    client.close()
    parts = [part for reply in replies for each in reply.candidates or () for part in each.content.parts or ()]
    (call,) = (part.function_call for part in parts if part.function_call)
    tokens: Any = replies[-1].usage_metadata
    out = tokens.candidates_token_count + tokens.thoughts_token_count
    text = "".join(part.text or "" for part in parts)
    return text, call.name, call.args, tokens.prompt_token_count, out, tokens.cached_content_token_count


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("ask", [by_messages, by_chat, by_responses, by_gemini])
def test_every_sdk_reads_the_text_the_call_and_the_tokens(
    ask: Callable[[str, bool], tuple[object, ...]], stream: bool, ampmap_provider: Start
) -> None:
    provider = ampmap_provider(default=CALLS)

    assert FOUND == ask(provider.url, stream)
    (seen,) = provider.seen
    assert "weather" in json.dumps(seen.json["tools"])


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
    "openai-chat": ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
    "openai-responses": ("/v1/responses", {"model": "m", "input": "hi"}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}
GEMINI_STREAM = "/v1beta/models/m:streamGenerateContent?alt=sse"


def posted(provider: StandIn, protocol: str, stream: bool = False, timeout: float = 20) -> httpx.Response:
    path, body = ASKED[protocol]
    if stream:
        path, body = (GEMINI_STREAM, body) if protocol == "gemini" else (path, {**body, "stream": True})
    return httpx.post(provider.url + path, json=body, timeout=timeout, trust_env=False)


@pytest.mark.parametrize("protocol", ASKED)
class TestFaults:
    def test_a_status_with_its_headers(self, protocol: str, ampmap_provider: Start) -> None:
        provider = ampmap_provider()
        provider.reply(Reply(status=429, headers={"Retry-After": "7"}, text="slow down"))

        refused, served = posted(provider, protocol), posted(provider, protocol)

        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        assert refused.json()["error"]["message"] == "slow down"
        assert served.status_code == 200 and "This is provider, answering as m." in served.text

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_cut(self, protocol: str, stream: bool, ampmap_provider: Start) -> None:
        provider = ampmap_provider(default=Reply(fault="cut"))

        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            posted(provider, protocol, stream)

    @pytest.mark.parametrize("stream", [False, True])
    def test_silence(self, protocol: str, stream: bool, ampmap_provider: Start) -> None:
        provider = ampmap_provider(default=Reply(fault="stall"))

        with pytest.raises(httpx.ReadTimeout):
            posted(provider, protocol, stream, timeout=0.5)

    def test_an_error_that_is_stated_in_mid_stream(self, protocol: str, ampmap_provider: Start) -> None:
        provider = ampmap_provider(default=Reply(text="one two three four", fault="error"))

        stream = posted(provider, protocol, stream=True)

        assert stream.status_code == 200
        assert "the stand-in fails" in stream.text and "four" not in stream.text
        assert posted(provider, protocol).status_code == 500

    @pytest.mark.parametrize("stream", [False, True])
    def test_malformed_json(self, protocol: str, stream: bool, ampmap_provider: Start) -> None:
        text = posted(ampmap_provider(default=Reply(fault="malformed")), protocol, stream).text

        last = text.split("data: ")[-1] if stream else text
        with pytest.raises(json.JSONDecodeError):
            json.loads(last)


def test_calls_need_tools_that_are_offered(ampmap_provider: Start) -> None:
    assert "weather" not in posted(ampmap_provider(default=CALLS), "anthropic").text


def test_replies_are_given_in_order_and_the_list_names_the_models(ampmap_provider: Start) -> None:
    provider = ampmap_provider(models=("a", "b"))
    provider.reply(Reply(text="first"), Reply(text="second"))

    assert "first" in posted(provider, "anthropic").text
    assert "second" in posted(provider, "openai-chat").text
    listed = httpx.get(f"{provider.url}/v1/models", trust_env=False).json()
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert [seen.path for seen in provider.seen] == ["/v1/messages", "/v1/chat/completions", "/v1/models"]


def test_a_request_that_its_format_forbids_is_refused(ampmap_provider: Start) -> None:
    provider = ampmap_provider(default=Reply())

    assert httpx.post(f"{provider.url}/v1/messages", json={"model": "m"}, trust_env=False).status_code == 400


def test_it_starts_in_a_tenth_of_a_second(ampmap_provider: Start) -> None:
    took = []
    for _ in range(5):
        begun = time.process_time()
        ampmap_provider()
        took.append(time.process_time() - begun)

    assert min(took) < 0.1
