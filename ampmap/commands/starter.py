"""The text of the configuration that ``init`` writes, and which models it maps agents' names to. Pure.

No secret is in it: keys stay in the environment, and the text names their variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..config.presets import PRESETS, Preset
from ..formats.registry import FORMATS
from ..routing.decide import Ask, decide
from ..routing.names import compile_glob, split_date
from ..routing.snapshot import Availability, Snapshot
from .agents import CODING, FAMILIES, NO_CHAT, SMALL, Family
from .schema import MODELINE

REMOTE = tuple(preset for preset in PRESETS.values() if preset.origin.scheme == "https")
LOCAL = tuple(preset for preset in PRESETS.values() if preset.origin.scheme == "http")

_USABLE = re.compile(r"[A-Za-z0-9][\w./:@+-]{0,199}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z]\w*-[\w./-]*", re.ASCII)  # no number, nor a word of YAML's for truth or nothing
_VERSION = re.compile(r"(?<![a-z0-9])\d+(?![\d.]*[bk])", re.IGNORECASE)
_SIZE = re.compile(r"(\d+)b\b", re.IGNORECASE)

_HEAD = """\
# What ampmap maps, and who serves it. After a change:
#   ampmap check                      what is wrong, with its line
#   ampmap explain claude-opus-4-8    what would happen to a model, step by step
# A running ampmap takes changes as they are saved.

# listen: 127.0.0.1:8267

# Rules: what an agent asks for, and what is served instead when no provider below has that model.
# An exact name stands in the list of models that agents are shown; a family (*) does not.
# 'ampmap map add FROM TO' adds one; more kinds:
#   {from: NAME, to: [ONE, ANOTHER]}                  several, tried in order
#   {from: '^claude-.*haiku', to: ONE, regex: true}   a pattern, searched in the name
#   {from: NAME, to: ONE, credits: refuse}            for this model, never Amp credits
amp-model-mappings:
"""

_PROVIDERS = """
# What happens to requests of Amp's clients that nothing here serves: allow, warn or refuse to spend credits.
amp-credits: warn

# Who serves models. Each is asked for its list of models; 'models: [NAME, gpt-*]' says them instead.
# A key is written as the variable that holds it. What begins with '#' was not found: uncomment what you have.
providers:
"""

_OTHER = """\
  # - name: gateway                             # anything else that speaks one of these protocols
  #   base-url: https://gateway.example.com
  #   protocols: [PROTOCOLS]
  #   api-key: ${GATEWAY_KEY}
"""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The model that serves a family, and its provider; empty if none does. ``is_listed``: it has the asked name."""

    family: Family
    target: str = ""
    provider: str = ""
    is_listed: bool = False


def starter(found: Sequence[Preset], env: Mapping[str, str], mapped: Iterable[Mapped]) -> str:
    """Return a configuration in YAML."""
    rules = [line for each in mapped for line in _rules(each)]
    lines = [line for preset in found for line in _provider(preset, env)]
    lines += [_commented(preset) for preset in (*REMOTE, *LOCAL) if preset not in found]
    other = _OTHER.replace("PROTOCOLS", ", ".join(FORMATS))
    return f"{MODELINE}{_HEAD}{_joined(rules)}{_PROVIDERS}{_joined(lines)}{other}"


def providers_alone(found: Sequence[Preset], env: Mapping[str, str]) -> str:
    """Return the part of a configuration that makes providers of what was found."""
    return "providers:\n" + _joined(line for preset in found for line in _provider(preset, env))


def map_families(snapshot: Snapshot, availability: Availability) -> list[Mapped]:
    """Return, for each family of models, the best model of the providers' that can be served in its format.

    ``snapshot`` has the providers and no rules, ``availability`` their lists.
    """
    return [_mapped(family, snapshot, availability) for family in FAMILIES]


def _mapped(family: Family, snapshot: Snapshot, availability: Availability) -> Mapped:
    names = _in_order(family, snapshot, availability)
    for protocol in family.protocols:
        for name in (family.asked, *names):
            if candidates := decide(Ask(protocol, name), snapshot, availability).candidates:
                best, is_listed = candidates[0], name == family.asked
                return Mapped(family, best.model if is_listed else name, best.provider.name, is_listed)
    return Mapped(family)


def _in_order(family: Family, snapshot: Snapshot, availability: Availability) -> list[str]:
    """Return the names of all models that hold conversations, those that suit the family best first.

    First come the family's own models, then models of earlier providers, then models that agents ask for by name, then
    models of the family's size. Within these the newest of the family comes first; of others, those for coding.
    """
    glob, asked = compile_glob(family.glob, re.IGNORECASE), {each.asked.replace(".", "-") for each in FAMILIES}
    keys: dict[str, tuple[object, ...]] = {}
    for place, provider in enumerate(snapshot.settings.providers):
        offer = availability.offers.get(provider.name)
        for name in offer.models if offer else ():
            if name in keys or not _USABLE.fullmatch(name) or NO_CHAT.search(name):
                continue
            plain = split_date(name.rpartition("/")[2])[0].replace(".", "-").lower()
            is_own, is_small = glob.match(plain) is not None, SMALL.search(plain) is not None
            version = tuple(-int(number) for number in [*_VERSION.findall(plain), 0, 0, 0][:3])
            size = max(map(int, _SIZE.findall(plain)), default=0)
            suits = (version,) if is_own else (CODING.search(plain) is None, size if family.small else -size, version)
            keys[name] = (not is_own, place, plain not in asked, is_small != family.small, *suits, name)
    return sorted(keys, key=keys.__getitem__)


def _rules(mapped: Mapped) -> list[str]:
    family = mapped.family
    if not mapped.target:
        formats = " or ".join(family.protocols)
        return [f"  # - {{from: '{family.glob}', to: MODEL}}  # nothing that was found serves models in {formats}"]
    exact = [] if mapped.is_listed else [f"  - {{from: {family.asked}, to: {_scalar(mapped.target)}}}"]
    return [*exact, f"  - {{from: '{family.glob}', to: {_scalar(mapped.target)}}}  # of {mapped.provider}"]


def _scalar(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"'{name}'"


def _provider(preset: Preset, env: Mapping[str, str]) -> list[str]:
    lines = [f"  - name: {preset.name}", f"    type: {preset.name}"]
    if preset in LOCAL:
        lines[1] = f"{lines[1]:<27} # at {preset.origin}"
    if has_key(preset, env):
        lines.append(f"    api-key: ${{{preset.key_env}}}")
    return lines


def _commented(preset: Preset) -> str:
    if preset in REMOTE:
        return f"  # - {{name: {preset.name}, type: {preset.name}, api-key: '${{{preset.key_env}}}'}}"
    return f"  # - {{name: {preset.name}, type: {preset.name}}}  # at {preset.origin}"


def has_key(preset: Preset, env: Mapping[str, str]) -> bool:
    """Tell whether the environment has the key of such a provider."""
    return bool(env.get(preset.key_env, "").strip())


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
