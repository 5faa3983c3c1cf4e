"""Streams of chat servers, with all their oddities, and what they say. The oddities are those of real servers."""

from __future__ import annotations

import json

from .chat_calls import CALLS
from .chat_chunks import DONE, USAGE, WEATHER, Said, call, chunk, data, ended, usage

STREAMS: dict[str, Said] = {
    **CALLS,
    "a text": Said(ended(chunk({"content": "Hel"}), chunk({"content": "lo"})), (("text", "Hello"),)),
    "no text at all": Said(ended(), ()),
    "empty content on every chunk": Said(
        ended(chunk({"content": "", "reasoning_content": "so"}), chunk({"content": ""}), chunk({"content": "A"})),
        (("thinking", "so"), ("text", "A")),
    ),
    "parts as content": Said(
        ended(chunk({"content": [{"type": "text", "text": "A"}]}), chunk({"content": ["B"]})), (("text", "AB"),)
    ),
    "Mistral's thinking parts": Said(
        ended(
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
            chunk({"content": "A"}),
        ),
        (("thinking", "hm"), ("text", "A")),
    ),
    "a refusal": Said(ended(chunk({"refusal": "I will not."})), (("text", "I will not."),)),
    "a half surrogate pair": Said(
        ended(
            b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n',
            b'data: {"choices":[{"index":0,"delta":{"content":"\\ude42"}}]}\n\n',
        ),
        (("text", "\ud83d\ude42"),),
    ),
    # Reasoning
    "reasoning_content": Said(
        ended(chunk({"reasoning_content": "Let me "}), chunk({"reasoning_content": "see."}), chunk({"content": "Yes"})),
        (("thinking", "Let me see."), ("text", "Yes")),
    ),
    "reasoning": Said(
        ended(chunk({"reasoning": "Hm."}), chunk({"content": "Yes"})), (("thinking", "Hm."), ("text", "Yes"))
    ),
    "reasoning in objects": Said(
        ended(chunk({"reasoning": {"text": "H"}}), chunk({"reasoning": [{"text": "m"}]}), chunk({"content": "Yes"})),
        (("thinking", "Hm"), ("text", "Yes")),
    ),
    "OpenRouter's words twice": Said(
        ended(
            chunk({"reasoning": "H", "reasoning_details": [{"type": "reasoning.text", "text": "H", "index": 0}]}),
            chunk({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]}),
            chunk({"content": "Yes"}),
        ),
        (("thinking", "Hm"), ("text", "Yes")),
    ),
    "reasoning_details alone": Said(
        ended(
            chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "H", "index": 0}]}),
            chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "m", "index": 0}]}),
            chunk({"content": "Yes"}),
        ),
        (("thinking", "Hm"), ("text", "Yes")),
    ),
    "reasoning behind text": Said(
        ended(chunk({"content": "A"}), chunk({"reasoning_content": "hm"}), chunk({"content": "B"})),
        (("text", "A"), ("thinking", "hm"), ("text", "B")),
    ),
    "blank reasoning": Said(ended(chunk({"reasoning_content": "\n\n"}), chunk({"content": "A"})), (("text", "A"),)),
    # Ends
    "tool_calls without a call": Said(ended(chunk({"content": "A"}), finish="tool_calls"), (("text", "A"),), "stop"),
    "stop with a call": Said(ended(call(0, "c", "weather", WEATHER[2]), finish="stop"), (WEATHER,), "calls"),
    "length": Said(ended(chunk({"content": "A"}), finish="length"), (("text", "A"),), "length"),
    "length within arguments": Said(
        ended(call(0, "call_1", "weather", WEATHER[2]), call(1, "call_2", "time", '{"zo'), finish="length"),
        (WEATHER, ("call", "time", '{"zo', False)),
        "length",
    ),
    "length behind a call": Said(
        ended(call(0, "call_1", "weather", WEATHER[2]), finish="length"), (WEATHER,), "calls"
    ),
    "length before arguments": Said(
        ended(call(0, "call_1", "weather", ""), finish="length"), (("call", "weather", "", False),), "length"
    ),
    "content_filter": Said(ended(chunk({"content": "A"}), finish="content_filter"), (("text", "A"),), "refusal"),
    "vLLM's stop_reason": Said(
        b"".join([
            chunk({"content": "A"}),
            data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}), DONE,
        ]),
        (("text", "A"),),
        "sequence",
    ),
    "an unknown finish_reason": Said(ended(chunk({"content": "A"}), finish="eos"), (("text", "A"),), "stop"),
    "finish_reason empty on every chunk": Said(
        b"".join([chunk({"content": "A"}, ""), chunk({"content": "B"}, ""), chunk({}, "stop"), DONE]),
        (("text", "AB"),),
    ),
    "no [DONE]": Said(ended(chunk({"content": "A"})).removesuffix(DONE), (("text", "A"),)),
    "no blank line at the end": Said(ended(chunk({"content": "A"})).removesuffix(DONE)[:-2], (("text", "A"),)),
    "no finish_reason, but [DONE]": Said(chunk({"content": "A"}) + DONE, (("text", "A"),)),
    "no finish_reason, but usage": Said(
        chunk({"content": "A"}) + usage(), (("text", "A"),), usage=(20, 7)
    ),
    "cut behind text": Said(chunk({"content": "A"}), (("text", "A"),), ""),
    "cut within a call": Said(call(0, "call_1", "weather", '{"ci'), (("call", "weather", '{"ci'),), ""),
    "cut within JSON": Said(chunk({"content": "A"}) + b'data: {"choices":[{"del', (("text", "A"),), ""),
    "a chunk behind [DONE]": Said(ended(chunk({"content": "A"})) + chunk({"content": "B"}), (("text", "A"),)),
    # Framing
    "Azure's first chunk": Said(
        data({"id": "", "choices": [], "prompt_filter_results": [{}]}) + ended(chunk({"content": "A"})),
        (("text", "A"),),
    ),
    "choices null, delta null": Said(
        data({"id": "x", "choices": None}) + data({"choices": [{"index": 0, "delta": None}]})
        + ended(chunk({"content": "A"})),
        (("text", "A"),),
    ),
    "another choice": Said(
        ended(chunk({"content": "A"}), data({"choices": [{"index": 1, "delta": {"content": "B"}}]})), (("text", "A"),)
    ),
    "comments, CRLF, names, no blanks": Said(
        b": OPENROUTER PROCESSING\r\n\r\nevent: chunk\r\n"
        + ended(chunk({"content": "A"})).replace(b"\n", b"\r\n").replace(b"data: ", b"data:"),
        (("text", "A"),),
    ),
    "no blank lines between": Said(
        ended(chunk({"content": "A"}), chunk({"content": "B"})).replace(b"\n\n", b"\n") + b"\n", (("text", "AB"),)
    ),
    "a JSON body": Said(
        json.dumps({"id": "x", "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "A", "reasoning_content": "hm"}}], "usage": USAGE}).encode(),
        (("thinking", "hm"), ("text", "A")),
        usage=(20, 7),
    ),
    # Usage
    "usage at the end": Said(
        ended(chunk({"content": "A"})).removesuffix(DONE) + usage() + DONE, (("text", "A"),), usage=(20, 7)
    ),
    "usage with finish_reason": Said(
        chunk({"content": "A"}) + chunk({}, "stop", usage=USAGE) + DONE, (("text", "A"),), usage=(20, 7)
    ),
    "usage on every chunk": Said(
        chunk({"content": "A"}, usage={"prompt_tokens": 20, "completion_tokens": 1})
        + chunk({"content": "B"}, "stop", usage=USAGE) + DONE,
        (("text", "AB"),),
        usage=(20, 7),
    ),
    "usage of zeros": Said(
        ended(chunk({"content": "A"})).removesuffix(DONE) + usage(prompt_tokens=0, completion_tokens=0) + DONE,
        (("text", "A"),),
    ),
    "Moonshot's usage": Said(
        data({"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop", "usage": USAGE}]}) + DONE,
        (("text", "A"),),
        usage=(20, 7),
    ),
    # Errors
    "an error first": Said(data({"error": {"message": "no", "type": "server_error"}}), (), "error 500"),
    "an error behind text": Said(
        chunk({"content": "A"}) + data({"error": {"message": "no", "code": 429}}), (("text", "A"),), "error 429"
    ),
    "vLLM's error": Said(
        data({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}), (), "error 400"
    ),
    "OpenRouter's error": Said(
        chunk({"content": "A"}) + data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error",
                                                     "error": {"code": 502, "message": "no"}}]}),
        (("text", "A"),),
        "error 502",
    ),
    "an event of the name error": Said(b'event: error\ndata: {"message": "no"}\n\n', (), "error 502"),
    "an error in words": Said(chunk({"content": "A"}) + b"upstream connect error\n\n", (("text", "A"),), "error 502"),
    "Google's error": Said(b'[{"error": {"code": 400, "message": "no", "status": "NOT_FOUND"}}]', (), "error 400"),
}  # fmt: skip
