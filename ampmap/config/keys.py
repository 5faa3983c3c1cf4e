"""The keys of a configuration: which there are in each mapping, and what may stand there, as JSON Schema (2020-12).

The readers refuse every key that is not in the table of its mapping, and :func:`schema` is made of the same tables. A
key without a value counts as absent everywhere. A string may hold ``${NAME}``, of which a schema can say no more.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, get_args, get_type_hints

from ..formats.conversation import EFFORTS
from ..formats.registry import AUTHS, FORMATS
from ..routing.credits import MOST_PER_DAY
from ..settings import CREDIT_POLICIES, Limits, Log, Settings, Timeouts
from .presets import PRESETS

Shape: TypeAlias = Mapping[str, Any]
"""A JSON Schema of one value."""

MAX_COUNT: Final = 2**40
MAX_NAME_BYTES: Final = 256  # a model's name in a request is refused beyond this
NO_FIELD: Final = "none"  # as a profile's reasoning-field
WORDS: Final = {  # of a profile
    "max-tokens-key": ("max_tokens", "max_completion_tokens"),
    "reasoning-field": ("reasoning_content", "reasoning", "reasoning_details", NO_FIELD),
    "mid-system": ("keep", "fold"),
}
KEPT: Final = {  # what no rule may change, and why
    "model": "the rule's 'to' says which model is asked for",
    "stream": "the client reads the reply in the form that it asked for",
}


def _text(pattern: str) -> Shape:
    """A string of which ``pattern`` is the whole, with blanks around it or a variable in it."""
    return {"type": "string", "pattern": rf"^\s*(?:{pattern})\s*$|\$\{{"}


def _word(words: Iterable[str]) -> Shape:
    known = list(words)
    return {"anyOf": [{"enum": known}, _text("|".join(map(re.escape, known)))]}


def _count(least: int = 1, most: int = MAX_COUNT) -> Shape:
    return {"type": "integer", "minimum": least, "maximum": most}


def _list(items: Shape, least: int = 0) -> Shape:
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


def _either(*shapes: Shape) -> Shape:
    return {"anyOf": list(shapes)}


def _mapping(keys: Mapping[str, Shape], required: tuple[str, ...] = (), **more: Any) -> Shape:
    properties = {key: shape if key in required else _or_nothing(shape) for key, shape in keys.items()}
    needs = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **needs, **more}


def _or_nothing(shape: Shape) -> Shape:
    about = {key: content for key, content in shape.items() if key in ("description", "default")}
    return {"anyOf": [{key: content for key, content in shape.items() if key not in about}, {"type": "null"}], **about}


def _about(description: str, shape: Shape) -> Shape:
    return {"description": description, **shape}


_STRING: Final[Shape] = {"type": "string"}
_BOOLEAN: Final[Shape] = {"type": "boolean"}
_FREE: Final[Shape] = {"type": "object"}
_SECONDS: Final[Shape] = {"type": "number", "exclusiveMinimum": 0}
_KEY: Final = _text(r"[\x21-\x7e]*")
_URL: Final = _text(r"[Hh][Tt][Tt][Pp][Ss]?://[^?#@/\s][^?#\s]*")
_NAME: Final[Shape] = {
    "type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES, "pattern": r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$",
}  # fmt: skip
_CREDITS: Final = _word(CREDIT_POLICIES)
_SIZE: Final = _either(_count(), _text("0*[1-9][0-9]* ?(?:k|kB|M|MB)?"))
_CHANGED: Final[Shape] = {"not": {"enum": ["", *KEPT]}}

MODEL: Final[Mapping[str, Shape]] = {
    "id": _about("The name, or a glob, that agents ask for", _NAME),
    "upstream": _about("What the provider calls it", _NAME),
}

PROFILE: Final[Mapping[str, Shape]] = {
    "max-output": _count(),
    "max-tokens-key": _word(WORDS["max-tokens-key"]),
    "effort": _list(_word(EFFORTS)),
    "reasoning-field": _word(WORDS["reasoning-field"]),
    "files": _BOOLEAN,
    "strict-schemas": _BOOLEAN,
    "mid-system": _word(WORDS["mid-system"]),
    "stream-usage": _BOOLEAN,
}

PROVIDER: Final[Mapping[str, Shape]] = {
    "name": _NAME,
    "type": _about("A preset: fills in base-url, protocols, auth and profile", _word(PRESETS)),
    "base-url": _URL,
    "protocols": _about("The wire formats that it speaks", _list(_word(FORMATS), 1)),
    "api-key": _about("Best written as ${NAME}, a variable of the environment", _KEY),
    "api-key-file": _about("A file that holds the key and nothing else", _STRING),
    "auth": _about("How the key is shown; client: the agent's own login goes through", _word(AUTHS)),
    "models": _about(
        "discover (the default): ask the provider; or a list of names, globs, {id, upstream} and discover",
        _either({"const": "discover"}, _list(_either(_NAME, _mapping(MODEL, required=("id",))), 1)),
    ),
    "headers": _about(
        "Fields that are set on each request",
        {**_FREE, "propertyNames": {"pattern": r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"}, "additionalProperties": _STRING},
    ),
    "ca-file": _about("A PEM file of authorities that are trusted as well", _STRING),
    "version-path": _about("false: nothing like /v1 is put between base-url and the path", _BOOLEAN),
    "translate": _about("false: only requests in its own formats", _BOOLEAN),
    "profile": _about("What a translator has to know of it", _mapping(PROFILE)),
}

WHEN: Final[Mapping[str, Shape]] = {
    "provider": _about("The segment in the path under /api/provider/", _STRING),
    "header": {**_FREE, "minProperties": 1, "additionalProperties": _STRING},
    "tool-choice": _about("The tool that the request forces", _STRING),
    "system-prefix": _STRING,
    "body-over": _about("Bytes: 400000, 400kB or 2MB", _SIZE),
    "image": _about("The last user message has one", _BOOLEAN),
    "tool": _about("A glob: a tool of that name or type is offered", _STRING),
}

RULE: Final[Mapping[str, Shape]] = {
    "from": _about("The name that agents ask for; a glob where it has * or ?", _STRING),
    "to": _about("The model that serves it, or several, tried in order", _either(_STRING, _list(_STRING))),
    "regex": _about("from is a pattern, searched in the name", _BOOLEAN),
    "credits": _about("For what this rule matches, instead of amp-credits", _CREDITS),
    "when": _about("All that are given must hold", _mapping(WHEN)),
    "set": _about("Top-level members of the body with their new values", {**_FREE, "propertyNames": _CHANGED}),
    "drop": _about("Top-level members of the body that are left out", _list({**_STRING, "not": {"enum": [*KEPT]}})),
}

AMP_KEY: Final[Mapping[str, Shape]] = {
    "upstream-api-key": {**_KEY, "minLength": 1},
    "api-keys": _list(_KEY),
}

AMPCODE: Final = {
    "upstream-url": "amp-upstream-url",
    "upstream-api-key": "amp-upstream-api-key",
    "upstream-api-keys": "amp-upstream-api-keys",
    "restrict-management-to-localhost": "amp-restrict-management-to-localhost",
    "force-model-mappings": "amp-force-model-mappings",
    "model-mappings": "amp-model-mappings",
}
"""The keys within the block ``ampcode``, and the flat keys that mean the same."""

_FLAT: Final[Mapping[str, Shape]] = {
    "amp-upstream-url": _about('"" = no Amp upstream', _either(_text(""), _URL)),
    "amp-upstream-api-key": _KEY,
    "amp-upstream-api-keys": _about("Per client key", _list(_mapping(AMP_KEY, required=("upstream-api-key",)))),
    "amp-restrict-management-to-localhost": _BOOLEAN,
    "amp-force-model-mappings": _about("true: rules before providers that list the model", _BOOLEAN),
    "amp-model-mappings": _about("Which model is served instead of another", _list(_mapping(RULE))),
}


def keys_of(section: type[Timeouts] | type[Limits] | type[Log]) -> Mapping[str, Shape]:
    """Return the keys of a section that is read into a dataclass, whose defaults are shown."""
    kinds = get_type_hints(section)
    shapes: dict[Any, Shape] = {float: _SECONDS, int: _count(), str: _STRING}
    return {
        each.name.replace("_", "-"): {
            **(shapes.get(kinds[each.name]) or _word(get_args(kinds[each.name]))), "default": each.default
        }
        for each in dataclasses.fields(section)
    }  # fmt: skip


ADMIN: Final[Mapping[str, Shape]] = {"enabled": {**_BOOLEAN, "default": Settings().admin}}

TOP: Final[Mapping[str, Shape]] = {
    "listen": _about("host:port, [v6]:port, unix:/path, or a list of them", _either(_STRING, _list(_STRING, 1))),
    "api-keys": _about("Keys that clients must show; none: open, and then only loopback is listened on", _list(_KEY)),
    "allow-open-access": _about("true lets an open proxy listen beyond loopback", _BOOLEAN),
    "allowed-origins": _about("Web origins that may call", _list(_text(r"[A-Za-z][A-Za-z0-9+.\-]*://\S+|"))),
    "allowed-hosts": _about("Further Host names that are this proxy", _list(_STRING)),
    **_FLAT,
    "amp-credits": _about("What happens before a request spends Amp credits", _CREDITS),
    "amp-credits-per-day": _about("0: no limit", _count(0, MOST_PER_DAY)),
    "ampcode": _about(
        "The amp- keys in one block", _mapping({key: _FLAT[flat] for key, flat in AMPCODE.items()})
    ),
    "translate": _about("false: a provider serves only the wire formats that it speaks", _BOOLEAN),
    "providers": _about(
        "Who serves models",
        _list(
            _mapping(
                PROVIDER,
                required=("name",),
                anyOf=[{"required": ["type"]}, {"required": ["base-url", "protocols"]}],
                **{"not": {"required": ["api-key", "api-key-file"]}},
            )
        ),
    ),
    "timeouts": _about("Seconds", _mapping(keys_of(Timeouts))),
    "limits": _mapping(keys_of(Limits)),
    "log": _mapping(keys_of(Log)),
    "admin": _mapping(ADMIN),
}  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of ampmap",
        **_mapping(TOP, allOf=[_once(key, flat) for key, flat in AMPCODE.items()]),
    }


def _once(key: str, flat: str) -> Shape:
    return {"not": {"required": [flat, "ampcode"], "properties": {"ampcode": {"type": "object", "required": [key]}}}}
