"""``ampmap init``: a starter configuration for the keys and local servers of this machine.

``starter`` is pure; ``answering_servers`` connects to loopback ports, ``write_starter`` makes a file. No secret is
written: keys stay in the environment, and the file names their variables.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import anyio

from ..config.file import user_config
from ..config.presets import PRESETS, Preset
from ..errors import Complaint, ConfigError, Place

VENDORS = ("anthropic", "openai", "gemini", "openrouter")
LOCAL = ("ollama", "lmstudio", "vllm", "llamacpp", "litellm", "cliproxyapi")

PROBE_S = 0.3  # loopback answers, or refuses, in well under a millisecond

_HEAD = """\
# What ampmap maps, and who serves it. After a change:
#   ampmap check                      what is wrong, with its line
#   ampmap explain claude-opus-4.5    what would happen to a model, step by step
# A running ampmap takes changes as they are saved.

# listen: 127.0.0.1:8267

# Rules: what an agent asks for, and what is served instead when no provider below has that model.
# 'ampmap map add FROM TO' adds one; these are examples.
amp-model-mappings:
  # - {from: claude-opus-4.5, to: claude-sonnet-4}             # a name, in any case
  # - {from: gpt-4.5, to: [gpt-5, gemini-2.5-pro]}             # several, tried in order
  # - {from: '^claude-.*haiku', to: qwen3-coder, regex: true}  # a pattern, searched in the name
  # - {from: claude-opus-4-7, to: glm-5, credits: refuse}      # for this model, never Amp credits

# What happens to requests of Amp's clients that nothing here serves: allow, warn or refuse to spend credits.
amp-credits: warn

"""

_PROVIDERS = """\
# Who serves models. Each is asked for its list of models; 'models: [NAME, gpt-*]' says them instead.
# A key is written as the variable that holds it. What begins with '#' was not found: uncomment what you have.
providers:
"""

_OTHER = """\
  # - name: gateway                             # anything else that speaks one of these protocols
  #   base-url: https://gateway.example.com
  #   protocols: [anthropic, openai-chat, openai-responses, gemini]
  #   api-key: ${GATEWAY_KEY}
"""


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs; the command has no options of its own."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    path = Path(options.config) if options.config else user_config(os.environ)
    if not path.is_absolute() and not options.config:
        raise ConfigError(Complaint("neither HOME nor XDG_CONFIG_HOME says where to write; give --config PATH"))
    write_starter(path, starter(os.environ, anyio.run(answering_servers)))
    print(f"{path} is written; look through it, then: ampmap check, ampmap serve")
    return 0


def starter(env: Mapping[str, str], answering: Iterable[str]) -> str:
    """Return a configuration in YAML for the keys in ``env`` and the ``answering`` local servers, by preset's name."""
    names = set(answering)
    found = [PRESETS[name] for name in VENDORS if env.get(PRESETS[name].key_env, "").strip()]
    found += [PRESETS[name] for name in LOCAL if name in names]
    lines: list[str] = []
    for preset in found:
        lines += _provider(preset, bool(env.get(preset.key_env, "").strip()))
    for name in (*VENDORS, *LOCAL):
        if PRESETS[name] not in found:
            entry = _provider(PRESETS[name], name in VENDORS)
            lines += [f"  # {line[2:]}" for line in entry]
    return _HEAD + _PROVIDERS + "\n".join(lines) + "\n" + _OTHER


def _provider(preset: Preset, has_key: bool) -> list[str]:
    origin = preset.origin
    where = f"# at {origin}; take it out if something else answers there" if origin.scheme == "http" else ""
    lines = [f"  - name: {preset.name}", f"    type: {preset.name}"]
    if where:
        lines[1] = f"{lines[1]:<27} {where}"
    if has_key:
        lines.append(f"    api-key: ${{{preset.key_env}}}")
    return lines


async def answering_servers(presets: Iterable[Preset] | None = None) -> list[str]:
    """Return the names of the local servers whose ports accept a connection, in the presets' order.

    All are asked at the same time, for 0.3 seconds at most.
    """
    asked = [PRESETS[name] for name in LOCAL] if presets is None else list(presets)
    found: set[str] = set()

    async def probe(preset: Preset) -> None:
        with anyio.move_on_after(PROBE_S):
            try:
                stream = await anyio.connect_tcp(preset.origin.host, preset.origin.port)
            except OSError:
                return
            found.add(preset.name)
            await stream.aclose()

    async with anyio.create_task_group() as group:
        for preset in asked:
            group.start_soon(probe, preset)
    return [preset.name for preset in asked if preset.name in found]


def write_starter(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, and the directories above it. Blocks.

    Errors: ConfigError when something stands there already, which is left as it is, or when it cannot be written.
    """
    try:
        for directory in reversed(path.absolute().parents):
            if not directory.exists():
                directory.mkdir(mode=0o700)
        # O_EXCL follows no link either
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # half a configuration is worse than none
            path.unlink(missing_ok=True)
            raise
    except FileExistsError as exc:
        what = "there is one already, which is left as it is; move it away, or name another place with --config"
        raise ConfigError(Complaint(what, Place(str(path), 1))) from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        raise ConfigError(Complaint(f"cannot write this file: {reason}", Place(str(path), 1))) from exc
