"""Ways to run the classic Amp CLI and Neo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from . import clients
from .amp_cli import SERVED, Run
from .asks import Format

CHAT = "^(grok|accounts/fireworks/|moonshotai/|kimi|gpt-oss)"
# The small model of titles is nobody's here: it shows what goes to Amp and is paid with credits.
RULES: tuple[tuple[str, Format], ...] = (
    ("^claude-(opus|sonnet)", "anthropic"),
    ("^gpt-5", "openai-responses"),
    ("^gemini-", "gemini"),
    (CHAT, "openai-chat"),
)
HAIKU: tuple[tuple[str, Format], ...] = (("^claude-haiku", "anthropic"),)
TITLE_MODEL = "claude-haiku-4-5-20251001"

# What belongs to one connection, or to one address, is not passed on as it is (RFC 9110 §7.6.1).
_OF_THE_HOP = ("host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te")


@dataclass(frozen=True)
class Scenario:
    """One way to run a classic CLI; ``wire`` is where its main model should be asked for, ``route`` how."""

    name: str
    wire: Format
    route: str = "MODEL_MAPPING"
    mode: str | None = None
    model: str | None = None  # the undocumented setting amp.internal.model, "provider:model"
    clients: tuple[str, ...] = clients.CLASSIC
    mute: tuple[str, ...] = ()  # clients that refuse --stream-json here
    prompt: str = "say hello"
    rules: tuple[tuple[str, Format], ...] = RULES
    options: dict[str, Any] = field(default_factory=dict)  # of Run

    def run(self, client: str) -> Run:
        """Return what to run."""
        arguments = ["-x", self.prompt]
        if self.mode is not None:
            arguments += ["-m", self.mode]
        if client not in self.mute:
            arguments += ["--stream-json"]
        rules = "".join(f"  - {{from: '{name}', to: {SERVED[wire]}, regex: true}}\n" for name, wire in self.rules)
        settings = {} if self.model is None else {"amp.internal.model": self.model}
        return Run(clients.command(client), tuple(arguments), rules, settings, **self.options)


LATER = ("mid", "new")
TOOL_TURN = [
    Scenario("smart", "anthropic", mode="smart"),
    Scenario("rush", "anthropic", mode="rush", mute=("old",), rules=(*RULES, *HAIKU)),
    Scenario("large", "anthropic", mode="large", mute=("old",)),
    Scenario("deep", "openai-responses", mode="deep", clients=LATER),
    Scenario("anthropic", "anthropic", model="anthropic:claude-sonnet-4-5"),
    Scenario("openai", "openai-responses", model="openai:gpt-5.1"),
    Scenario("vertexai", "gemini", model="vertexai:gemini-3-pro-preview"),
    Scenario("xai", "openai-chat", model="xai:grok-code-fast-1"),
    Scenario("fireworks", "openai-chat", model="fireworks:accounts/fireworks/models/glm-5"),
    Scenario("groq", "openai-chat", model="groq:moonshotai/kimi-k2-instruct-0905"),
    Scenario("moonshotai", "openai-chat", model="moonshotai:kimi-k2-instruct-0905"),
    Scenario("baseten", "openai-chat", model="baseten:moonshotai/Kimi-K2.5", clients=LATER),
    Scenario("served", "anthropic", "LOCAL_PROVIDER", model=f"anthropic:{SERVED['anthropic']}"),
]
# Every model is mapped to one that a single provider has, in a format that the CLI does not ask in.
TRANSLATED = [
    Scenario(f"{name} on {wire}", wire, mode=mode, model=model, clients=("new",), rules=((".*", wire),))
    for name, mode, model, speaks in (
        ("smart", "smart", None, "anthropic"), ("deep", "deep", None, "openai-responses"),
        ("vertexai", None, "vertexai:gemini-3-pro-preview", "gemini"),
    )
    for wire in SERVED
    if wire != speaks
]  # fmt: skip
# The oracle is a model of its own, which the CLI asks in Responses whatever its main model speaks.
ORACLE = [
    Scenario(
        f"oracle on {wire}", wire, mode="smart", clients=clients.CLASSIC if wire == "anthropic" else ("new",),
        rules=((".*", wire),), options={"manner": "oracle"},
    )
    for wire in SERVED
    if wire != "openai-responses"
]  # fmt: skip
# The CLI itself never ends with this one: it gets no stop reason out of a text answer.
ENDLESS = [Scenario("cerebras", "openai-chat", model="cerebras:gpt-oss-120b", options={"enough": 2, "limit_s": 20.0})]
LONG = [
    Scenario("60 kB prompt", "anthropic", prompt="say hello, and pay no attention to this: " + "lorem ipsum " * 5000)
]
UNMAPPED = [Scenario("unmapped", "anthropic", "AMP_CREDITS", model="anthropic:nobody-serves-this")]
REFUSED = [
    Scenario(
        "refused", "anthropic", "AMP_CREDITS", model="anthropic:nobody-serves-this",
        options={"more": "amp-credits: refuse\n"},
    )
]  # fmt: skip
# Later releases ask nobody for a model when their own server does not answer.
UNSERVED = [
    Scenario(
        "unserved", "anthropic", "NO_PROVIDER", model="anthropic:nobody-serves-this", clients=("old",),
        options={"upstream": False},
    )
]  # fmt: skip
CUT = [Scenario("cut stream", "anthropic", options={"manner": "cut"})]
MISSPELT = [Scenario("tool 'bash'", "anthropic", options={"manner": "lower-case"})]
UNSIGNED = [Scenario("unsigned thought", "anthropic", options={"manner": "unsigned"})]
NEO = Scenario("neo", "anthropic", clients=("neo",), mute=("neo",), options={"limit_s": 25.0})


def each(scenarios: list[Scenario]) -> pytest.MarkDecorator:
    """Parametrize a test with scenarios on each of their clients."""
    cases = [
        pytest.param(client, scenario, id=f"{client}-{scenario.name}")
        for client in clients.VERSIONS
        for scenario in scenarios
        if client in scenario.clients
    ]
    return pytest.mark.parametrize(("client", "scenario"), cases)
