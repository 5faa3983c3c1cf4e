"""What is no coding agent: the vendors' SDKs, each by a small program, ``llm`` and LiteLLM's client; and aider.

``ampmap run --as PROTOCOL`` points each of them at ampmap, ``ampmap run aider`` the last one, which is from PyPI, too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from .agents import AGENTS, Agent
from .clients import Lacking, installed, installing, namespace, node
from .pypi import environment, released

_SCRIPTS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Program(Agent):
    """A client of no agent's name, or from PyPI.

    ``program`` is a script of ``programs``, or stands in ``bin`` of its environment.
    """

    beside: tuple[str, ...] = ()  # more packages, only from PyPI
    has_name: bool = False

    def newest(self) -> str:
        return super().newest() if self.program.endswith(".cjs") else released(self.package)

    def command(self) -> tuple[str, ...]:
        with installing:
            found = _found(self.package, self.program, self.version, self.beside)
        if isinstance(found, str):
            raise Lacking(found)
        return found


@functools.cache
def _found(package: str, program: str, version: str, beside: tuple[str, ...]) -> tuple[str, ...] | str:
    """Return a command, or why there is none: what is lacking once is not looked for again."""
    script = str(_SCRIPTS / program)
    try:
        namespace()
        if program.endswith(".cjs"):
            return ("env", f"NODE_PATH={installed(package, version) / 'node_modules'}", node(), script)
        programs = environment(package, version, beside) / "bin"
    except Lacking as exc:
        return str(exc)
    return (str(programs / "python"), script) if program.endswith(".py") else (str(programs / program),)


_FUNCTION = """\
import subprocess
def bash(command: str) -> str:
    "Run a command."
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout
"""
_FUNCTIONS = ("--functions", _FUNCTION)
_CLAUDE, _GPT, _GEMINI = "claude-opus-4-8", "gpt-6.2-sol", "gemini-3.8-flash"
_LITELLM = ("litellm", "1.110.2", "AMPMAP_LITELLM_VERSION", "litellm_client.py")
_LLM = ("llm", "0.36", "AMPMAP_LLM_VERSION", "llm")
_OPENAI, _OPENAI_JS = ("openai", "3.57.0", "AMPMAP_OPENAI_VERSION"), ("openai", "7.59.0", "AMPMAP_OPENAI_JS_VERSION")
_BESIDE_LLM = ("llm-anthropic==0.30",)  # llm-gemini asks Google's address, whatever is set
_LOCAL_COSTS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # or its import asks GitHub for a list

SDKS: dict[str, Program] = {
    "openai-chat-py": Program(
        "OpenAI's SDK for Python, Chat Completions", *_OPENAI, "openai_chat.py", "openai-chat", _GPT, (_GPT,),
    ),
    "openai-responses-py": Program(
        "OpenAI's SDK for Python, Responses", *_OPENAI, "openai_responses.py", "openai-responses", _GPT, (_GPT,),
    ),
    "anthropic-py": Program(
        "Anthropic's SDK for Python", "anthropic", "2.14.0", "AMPMAP_ANTHROPIC_VERSION",
        "anthropic_messages.py", "anthropic", _CLAUDE, (_CLAUDE,),
    ),
    "google-genai-py": Program(
        "Google's SDK for Python", "google-genai", "3.6.1", "AMPMAP_GOOGLE_GENAI_VERSION",
        "google_genai.py", "gemini", _GEMINI, (_GEMINI,),
    ),
    "openai-chat-js": Program(
        "OpenAI's SDK for JavaScript, Chat Completions", *_OPENAI_JS, "openai_chat.cjs", "openai-chat", _GPT, (_GPT,),
    ),
    "openai-responses-js": Program(
        "OpenAI's SDK for JavaScript, Responses", *_OPENAI_JS, "openai_responses.cjs", "openai-responses", _GPT,
        (_GPT,),
    ),
    "anthropic-js": Program(
        "Anthropic's SDK for JavaScript", "@anthropic-ai/sdk", "1.14.0", "AMPMAP_ANTHROPIC_JS_VERSION",
        "anthropic_messages.cjs", "anthropic", _CLAUDE, (_CLAUDE,),
    ),
    "google-genai-js": Program(
        "Google's SDK for JavaScript", "@google/genai", "3.3.0", "AMPMAP_GOOGLE_GENAI_JS_VERSION",
        "google_genai.cjs", "gemini", _GEMINI, (_GEMINI,),
    ),
    "litellm-openai": Program(
        "LiteLLM's client, openai/", *_LITELLM, "openai-chat", _GPT, (f"openai/{_GPT}",), env=_LOCAL_COSTS
    ),
    "litellm-anthropic": Program(
        "LiteLLM's client, anthropic/", *_LITELLM, "anthropic", _CLAUDE, (f"anthropic/{_CLAUDE}",), env=_LOCAL_COSTS
    ),
    "litellm-gemini": Program(
        "LiteLLM's client, gemini/", *_LITELLM, "gemini", _GEMINI, (f"gemini/{_GEMINI}",), env=_LOCAL_COSTS
    ),
    "llm-chat": Program(
        "llm, Chat Completions", *_LLM, "openai-chat", "gpt-4.1", ("-m", "gpt-4.1", *_FUNCTIONS), beside=_BESIDE_LLM
    ),
    "llm-responses": Program(
        "llm, Responses", *_LLM, "openai-responses", "gpt-6-sol", ("-m", "gpt-6-sol", *_FUNCTIONS), beside=_BESIDE_LLM
    ),
    "llm-anthropic": Program(
        "llm-anthropic", *_LLM, "anthropic", "claude-opus-5-5", ("-m", "claude-opus-5.5", *_FUNCTIONS),
        beside=_BESIDE_LLM,
    ),
}  # fmt: skip
LITELLM = Program(
    "LiteLLM's proxy", "litellm[proxy]", "1.101.6", "AMPMAP_LITELLM_PROXY_VERSION", "litellm", "openai-chat", "", ()
)
"""A provider. The proxy of 1.110.2 wants ``litellm-proxy``, a package that not every index has."""

AIDER = Program(
    "aider", "aider-chat", "0.86.2", "AMPMAP_AIDER_VERSION", "aider", "openai-chat", _GPT,
    ("--model", f"openai/{_GPT}", "--yes-always", "--no-check-update", "--analytics-disable", "--no-gitignore"),
    env=_LOCAL_COSTS, has_name=True,
)  # fmt: skip
"""It offers no tools: it asks for the text of an edit. The prompt is a file's name and ``--message``."""

CLIENTS: dict[str, Agent] = {**AGENTS, **SDKS, "aider": AIDER}
