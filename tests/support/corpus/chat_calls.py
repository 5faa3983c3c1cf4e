"""Streams of chat servers with calls of tools, and what they say. The oddities are those of real servers."""

from __future__ import annotations

import json

from .chat_chunks import TIME, WEATHER, Said, call, chunk, ended

ROME = ("call", "time", '{"zone":"GMT"}')
_LONG = json.dumps({"text": 'a "quoted" \\ {[ path ' * 5, "emoji": "🙂", "\u2028": "</script>"}, ensure_ascii=False)

CALLS: dict[str, Said] = {
    "a call in pieces": Said(
        ended(
            chunk({"content": "Let me look."}),
            call(0, "call_1", "weather", ""),
            *(call(0, arguments=piece) for piece in ('{"ci', 'ty":', '"Oslo"}')),
            finish="tool_calls",
        ),
        (("text", "Let me look."), WEATHER),
        "calls",
    ),
    "a call at once": Said(ended(call(0, "call_1", "weather", WEATHER[2]), finish="tool_calls"), (WEATHER,), "calls"),
    "brackets and quotes in arguments": Said(
        ended(
            call(0, "call_1", "weather", ""),
            *(call(0, arguments=_LONG[at : at + 3]) for at in range(0, len(_LONG), 3)),
            call(1, "call_2", "time", TIME[2]),
            finish="tool_calls",
        ),
        (("call", "weather", _LONG), TIME),
        "calls",
    ),
    "calls after one another": Said(
        ended(
            call(0, "call_1", "weather", '{"city":'),
            call(0, arguments='"Oslo"}'),
            call(1, "call_2", "time", '{"zone":'),
            call(1, arguments='"CET"}'),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "interleaved calls": Said(
        ended(
            call(0, "call_1", "weather", '{"city":'),
            call(1, "call_2", "time", '{"zone":'),
            call(0, arguments='"Oslo"}'),
            call(1, arguments='"CET"}'),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "heads first, arguments later": Said(
        ended(
            call(0, "call_1", "weather", ""),
            call(1, "call_2", "time", ""),
            call(0, arguments=WEATHER[2]),
            call(1, arguments=TIME[2]),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "Ollama: all of index 0": Said(
        ended(call(0, "call_1", "weather", WEATHER[2]), call(0, "call_2", "time", TIME[2]), finish="stop"),
        (WEATHER, TIME),
        "calls",
    ),
    "two calls of index 0 in one chunk": Said(
        ended(
            chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": WEATHER[2]}},
                        {"index": 0, "id": "call_2", "function": {"name": "time", "arguments": TIME[2]}},
                    ]
                }
            ),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "no index": Said(
        ended(
            call(None, "call_1", "weather", '{"city":'),
            call(None, arguments='"Oslo"}'),
            call(None, "call_2", "time", '{"zone":'),
            call(None, arguments='"CET"}'),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "neither index nor id": Said(
        ended(call(None, None, "weather", WEATHER[2]), call(None, None, "time", TIME[2]), finish="tool_calls"),
        (WEATHER, TIME),
        "calls",
    ),
    "neither index nor id, in pieces": Said(
        ended(
            call(None, None, "weather", ""),
            call(None, None, None, WEATHER[2]),
            call(None, None, "time", ""),
            call(None, None, None, TIME[2]),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "id and name apart": Said(
        ended(
            call(0, "call_1"),
            call(0, None, "weather"),
            call(0, arguments=WEATHER[2]),
            finish="tool_calls",
        ),
        (WEATHER,),
        "calls",
    ),
    "the name behind the arguments": Said(
        ended(call(0, "call_1", None, WEATHER[2]), call(0, None, "weather"), finish="tool_calls"), (WEATHER,), "calls"
    ),
    "id and name on every chunk": Said(
        ended(
            call(0, "call_1", "weather", '{"city":'),
            call(0, "call_1", "weather", '"Oslo"}'),
            finish="tool_calls",
        ),
        (WEATHER,),
        "calls",
    ),
    "one id for two calls": Said(
        ended(call(0, "call_1", "weather", WEATHER[2]), call(1, "call_1", "time", TIME[2]), finish="tool_calls"),
        (WEATHER, TIME),
        "calls",
    ),
    "one id and one index for two calls": Said(
        ended(call(0, "call_1", "time", TIME[2]), call(0, "call_1", "time", ROME[2]), finish="tool_calls"),
        (TIME, ROME),
        "calls",
    ),
    "a call once more": Said(
        ended(call(0, "call_1", "time", TIME[2]), call(0, "call_1", "time", TIME[2]), finish="tool_calls"),
        (TIME,),
        "calls",
    ),
    "a call in pieces, and once more in full": Said(
        ended(
            call(0, "call_1", "time", TIME[2][:5]),
            call(0, arguments=TIME[2][5:]),
            call(0, "call_1", "time", TIME[2]),
            finish="tool_calls",
        ),
        (TIME,),
        "calls",
    ),
    "null as arguments": Said(
        ended(call(0, "call_1", "now", "null"), finish="tool_calls"), (("call", "now", "{}"),), "calls"
    ),
    "blanks between calls": Said(
        ended(
            call(0, "call_1", "weather", WEATHER[2]),
            chunk({"content": "\n"}),
            call(1, "call_2", "time", TIME[2]),
            chunk({"content": "\n\n"}),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "blanks behind the arguments": Said(
        ended(
            call(0, "call_1", "weather", WEATHER[2]),
            call(1, "call_2", "time", TIME[2]),
            call(0, arguments=" \n"),
            finish="tool_calls",
        ),
        (WEATHER, TIME),
        "calls",
    ),
    "text behind a call": Said(
        ended(call(0, "call_1", "weather", WEATHER[2]), chunk({"content": "Done."}), finish="stop"),
        (WEATHER, ("text", "Done.")),
        "calls",
    ),
    "text within a call": Said(
        ended(
            call(0, "call_1", "weather", '{"city":'),
            chunk({"content": "Wait."}),
            call(0, arguments='"Oslo"}'),
            finish="tool_calls",
        ),
        (WEATHER, ("text", "Wait.")),
        "calls",
    ),
    "reasoning behind a call": Said(
        ended(call(0, "call_1", "weather", WEATHER[2]), chunk({"reasoning": "hm"}), chunk({"content": "A"})),
        (WEATHER, ("thinking", "hm"), ("text", "A")),
        "calls",
    ),
    "arguments as an object": Said(
        ended(call(0, "call_1", "weather", {"city": "Oslo"}), finish="tool_calls"),
        (("call", "weather", '{"city": "Oslo"}'),),
        "calls",
    ),
    "arguments encoded twice": Said(
        ended(
            call(0, "call_1", "weather", '"{\\"city\\":'),
            call(0, arguments='\\"Oslo\\"}"'),
            finish="tool_calls",
        ),
        (WEATHER,),
        "calls",
    ),
    "arguments that are a list": Said(
        ended(call(0, "call_1", "weather", "[1]"), finish="tool_calls"),
        (("call", "weather", '{"_invalid_arguments":"[1]"}'),),
        "calls",
    ),
    "numbers as they are": Said(
        ended(call(0, "call_1", "f", '{"a":1.0,"b":1e400,"c":12345678901234567890,"a":2}'), finish="tool_calls"),
        (("call", "f", '{"a":1.0,"b":1e400,"c":12345678901234567890,"a":2}'),),
        "calls",
    ),
    "no arguments: empty": Said(ended(call(0, "c", "now", ""), finish="tool_calls"), (("call", "now", ""),), "calls"),
    "no arguments: null": Said(ended(call(0, "c", "now", None), finish="tool_calls"), (("call", "now", ""),), "calls"),
    "no arguments: braces": Said(
        ended(call(0, "c", "now", "{}"), finish="tool_calls"), (("call", "now", "{}"),), "calls"
    ),
    "no name ever": Said(ended(call(0, "call_1", None, "{}"), finish="tool_calls"), (), "stop"),
    "the older form": Said(
        ended(
            chunk({"function_call": {"name": "weather", "arguments": '{"city":'}}),
            chunk({"function_call": {"arguments": '"Oslo"}'}}),
            finish="function_call",
        ),
        (WEATHER,),
        "calls",
    ),
}
