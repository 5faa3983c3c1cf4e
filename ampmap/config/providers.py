"""The ``providers`` of a configuration: what the user wrote, over what the preset knows, with the key.

``file`` is the only caller; values are read by ``reader``, defaults come from ``presets``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ..errors import Place
from ..formats.registry import AUTHS, FORMATS
from ..http.headers import HOP_BY_HOP
from ..net.address import is_loopback
from ..settings import Auth, Endpoint, ModelEntry, Origin, Protocol, Provider
from . import keys
from .nodes import Mapping, Node, Scalar, Sequence
from .presets import PRESETS, Preset
from .profiles import Changes, read_profile, with_profile
from .reader import (
    MAX_FILE_BYTES,
    Reading,
    check_key,
    read_file,
    read_key,
    read_name,
    read_url,
)
from .yaml_tree import guarded, quoted

# Framing is ampmap's own work (RFC 9112 §6), and so is whatever concerns one connection only (RFC 9110 §7.6.1).
OWN_HEADERS = {name.decode() for name in HOP_BY_HOP} | {"content-length", "expect", "host", "http2-settings"}

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2, token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 §5.5, in latin-1

_LIKE_DISCOVER = frozenset({"discover", "discovery", "discovered"})  # in any case; as a model's name hardly meant

_LIST_MODELS = "no model is listed; write 'models: discover' to ask this provider, or for example 'models: [gpt-*]'"


def read_providers(reading: Reading, node: Node) -> tuple[Provider, ...]:
    """Return the providers that are written, in their order; two of one name are an error."""
    found: dict[str, Provider] = {}
    for item in reading.items(node):
        provider = _read_provider(reading, item)
        if provider is None:
            continue
        if (first := found.get(provider.name)) is not None:
            what = (
                f"a provider named {quoted(provider.name)} stands already at {first.place}; give this one another name"
            )
            reading.error(provider.place, what)
        found.setdefault(provider.name, provider)
    return tuple(found.values())


def providers_from_environment(reading: Reading) -> tuple[Provider, ...]:
    """Return one provider for each vendor whose key is in the environment, under the vendor's own variable."""
    found: list[Provider] = []
    for preset in PRESETS.values():
        key = reading.env.get(preset.key_env, "").strip()
        if not (preset.from_env and key and check_key(reading, key, None, f"the variable {preset.key_env}")):
            continue
        provider = Provider(
            name=preset.name,
            origin=preset.origin,
            endpoints=_endpoints(preset, preset.base_path, None, None, None, {}),
            preferred=_preferred(preset, [each.protocol for each in preset.endpoints]),
            discover=True,
            variants=preset.variants,
            api_key=key,
        )
        found.append(provider)
    return tuple(found)


def _read_provider(reading: Reading, node: Node) -> Provider | None:
    """Read one item. None only where so much is missing that nothing can be compared with it."""
    fields = reading.fields(node, keys.PROVIDER)
    if not isinstance(node, Mapping):
        return None
    name = read_name(reading, fields["name"]) if "name" in fields else None
    if "name" not in fields:
        reading.error(node.place, "this provider has no name; add 'name: NAME'")
    preset = None
    if "type" in fields:
        word = reading.word(fields["type"], PRESETS, "type")
        preset = PRESETS[word] if word else None
    protocols = _read_protocols(reading, fields["protocols"]) if "protocols" in fields else None
    auth = reading.word(fields["auth"], AUTHS, "auth") if "auth" in fields else None
    base = _read_base(reading, node.place, fields, preset)
    version_path = reading.boolean(fields["version-path"]) if "version-path" in fields else None
    api_key = _read_api_key(reading, fields)
    profile = read_profile(reading, fields["profile"]) if "profile" in fields else {}
    endpoints = _endpoints(preset, base[1] if base else "", protocols, auth, version_path, profile)
    provider = Provider(
        name=name or "",
        origin=base[0] if base else Origin("http", "localhost", 80),
        endpoints=endpoints,
        translate=reading.boolean(fields["translate"]) if "translate" in fields else None,
        preferred=_preferred(preset, [each.protocol for each in endpoints]),
        models=_read_models(reading, fields.get("models")),
        discover=_discovers(fields.get("models")),
        variants=preset.variants if preset else False,
        api_key=api_key or "",
        headers=_read_headers(reading, fields["headers"]) if "headers" in fields else (),
        ca_file=_read_ca_file(reading, fields["ca-file"]) if "ca-file" in fields else "",
        place=node.place,
    )
    if base and api_key is not None and (auth or "auth" not in fields):
        provider = _with_usable_auth(reading, provider, preset)
    return provider if name else None


def _read_base(
    reading: Reading, place: Place, fields: dict[str, Node], preset: Preset | None
) -> tuple[Origin, str] | None:
    """Return where the provider answers: as written, or as the preset knows."""
    if preset is None and "type" not in fields:
        missing = [key for key in ("base-url", "protocols") if key not in fields]
        if missing:
            kinds = ", ".join(PRESETS)
            what = f"a provider without a type needs {' and '.join(missing)}; add them, or 'type:' with one of {kinds}"
            reading.error(place, what)
    if "base-url" in fields:
        return read_url(reading, fields["base-url"])
    return (preset.origin, preset.base_path) if preset else None


def _read_protocols(reading: Reading, node: Node) -> list[Protocol]:
    found = [reading.word(item, FORMATS, "protocol") for item in reading.items(node)]
    if isinstance(node, Sequence) and not found:
        reading.error(node.place, f"a provider speaks at least one protocol; known are {', '.join(FORMATS)}")
    return list(dict.fromkeys(protocol for protocol in found if protocol))


def _endpoints(
    preset: Preset | None,
    base_path: str,
    protocols: list[Protocol] | None,
    auth: Auth | None,
    version_path: bool | None,
    profile: Changes,
) -> tuple[Endpoint, ...]:
    """Return how each protocol is spoken: as the preset says where it knows, at the base path with a bearer else.

    ``profile`` is the translator's profile, as far as it is written.
    """
    known = {endpoint.protocol: endpoint for endpoint in (preset.endpoints if preset else ())}
    found: list[Endpoint] = []
    for protocol in known if protocols is None else protocols:
        endpoint = known.get(protocol, Endpoint(protocol=protocol))
        path = _joined(_shared(base_path, endpoint, known.values()), endpoint.base_path)
        versioned = endpoint.version_path if version_path is None else version_path
        spoken = Endpoint(protocol=protocol, base_path=path, auth=auth or endpoint.auth, version_path=versioned)
        found.append(with_profile(spoken, preset.profiles.get(protocol, {}) if preset else {}, profile))
    return tuple(found)


def _preferred(preset: Preset | None, protocols: list[Protocol]) -> tuple[Protocol, ...]:
    """Return the protocols into which requests are translated, the best first; none: in the order as written."""
    if preset is None:
        return ()
    return tuple(sorted(protocols, key=lambda each: (each != preset.preferred, list(FORMATS).index(each))))


def _shared(base_path: str, endpoint: Endpoint, known: Iterable[Endpoint]) -> str:
    """Return ``base_path`` without the end that belongs to another protocol of the same vendor.

    Vendors document one base URL for each protocol, so a user may give the ``/v1`` of one beside the ``/anthropic`` of
    the other.
    """
    for other in known:
        if other.protocol != endpoint.protocol:
            base_path = base_path.removesuffix(other.base_path or ("/v1" if endpoint.base_path else ""))
    return base_path


def _joined(base_path: str, suffix: str) -> str:
    """Return ``base_path`` and ``suffix``, less the segments with which the one ends and the other begins.

    A base URL that already ends in ``/v1beta`` must not become ``/v1beta/v1beta/openai``.
    """
    ours, theirs = base_path.split("/")[1:], suffix.split("/")[1:]
    overlap = next(n for n in range(len(theirs), -1, -1) if n == 0 or ours[-n:] == theirs[:n])
    return base_path + "".join("/" + segment for segment in theirs[overlap:])


def _read_api_key(reading: Reading, fields: dict[str, Node]) -> str | None:
    """Return the key; empty where there is none, None where it is wrong."""
    inline, file = fields.get("api-key"), fields.get("api-key-file")
    if inline is not None and file is not None:
        first, second = sorted((inline, file), key=lambda node: node.place)
        reading.error(
            second.place, f"both api-key and api-key-file are given (the other is at {first.place}); keep one"
        )
        return None
    if inline is not None:
        return read_key(reading, inline)
    if file is None:
        return ""
    read = read_file(reading, file)
    if read is None:
        return None
    key = read[1].decode("utf-8-sig", "replace").strip() if len(read[1]) < MAX_FILE_BYTES else ""
    if not key:
        reading.error(file.place, "the file is empty, or too long for a key; it must hold the key and nothing else")
    if not key or not check_key(reading, key, file.place, "the key in this file"):
        return None
    reading.with_keys[str(read[0])] = None
    return key


def _read_ca_file(reading: Reading, node: Node) -> str:
    read = read_file(reading, node)
    if read is None:
        return ""
    if b"-----BEGIN" not in read[1]:
        reading.error(node.place, "no certificate is in this file; it must be PEM ('-----BEGIN CERTIFICATE-----')")
    return str(read[0])


def _read_headers(reading: Reading, node: Node) -> tuple[tuple[str, str], ...]:
    """Return header fields that are set on each request, in order. Values are in no complaint."""
    if not isinstance(node, Mapping):
        reading.wrong(node, "a mapping")
        return ()
    found: dict[str, tuple[str, str]] = {}
    for key, value_node in node.entries:
        name, folded = key.text, key.text.lower()
        value = reading.string(value_node)
        if not _HEADER_NAME.fullmatch(name):
            reading.error(key.place, f"{guarded(name)} is not a header's name: letters, digits and - only")
        elif folded in OWN_HEADERS:
            reading.error(key.place, f"the header {name} is ampmap's own to write; remove it")
        elif folded in found:
            reading.error(key.place, f"the header {name} is given twice; keep one")
        elif value is not None and not _HEADER_VALUE.fullmatch(value):
            reading.error(value_node.place, "a header's value is one line of latin-1 text without control characters")
        elif value is not None:
            found[folded] = (name, value)
    return tuple(found.values())


def _is_discover(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text == "discover"


def _discovers(node: Node | None) -> bool:
    """Tell whether the provider is to be asked for its models: by itself, or as one item of ``models``."""
    return node is None or _is_discover(node) or (isinstance(node, Sequence) and any(map(_is_discover, node.items)))


def _read_models(reading: Reading, node: Node | None) -> tuple[ModelEntry, ...]:
    """Return the models that are listed; with ``discover``, those beside the ones that the provider names itself."""
    if node is None or _is_discover(node):
        return ()
    if isinstance(node, Sequence) and not node.items:
        reading.error(node.place, _LIST_MODELS)
    items = reading.items(node)
    asked = [item for item in items if _is_discover(item)]
    for item in asked[1:]:
        reading.warn(item.place, "discover is written twice; keep one")
    found = []
    for item in items:
        if item in asked or (entry := _read_model(reading, item)) is None:
            continue
        found.append(entry)
        if asked and entry.id == "*":
            what = "'*' serves every name, so discover adds none; take '*' out, or discover"
            reading.warn(item.place, what)
        elif isinstance(item, Scalar) and entry.id.lower() in _LIKE_DISCOVER:
            what = f"{quoted(entry.id)} is taken for a model's name; to ask the provider for its models write discover"
            reading.warn(item.place, what)
    return tuple(found)


def _read_model(reading: Reading, node: Node) -> ModelEntry | None:
    if not isinstance(node, Mapping):
        name = read_name(reading, node)
        return ModelEntry(id=name) if name else None
    fields = reading.fields(node, keys.MODEL)
    if "id" not in fields:
        reading.error(node.place, "this model has no id; write {id: NAME, upstream: NAME-THERE}")
        return None
    name = read_name(reading, fields["id"])
    upstream = read_name(reading, fields["upstream"]) if "upstream" in fields else ""
    return ModelEntry(id=name, upstream=upstream) if name and upstream is not None else None


def _with_usable_auth(reading: Reading, provider: Provider, preset: Preset | None) -> Provider:
    """Return the provider with ways of login that its key, or the want of one, allows."""
    wanting = [endpoint for endpoint in provider.endpoints if endpoint.auth not in ("none", "client")]
    if provider.api_key and provider.endpoints and not wanting:
        reading.warn(provider.place, "the key of this provider is not used: its auth is none or client")
    if provider.api_key or not wanting:
        return provider
    if not is_loopback(provider.origin.host):
        variable = preset.key_env if preset else "NAME_OF_A_VARIABLE"
        what = f"this provider needs a key; add 'api-key: ${{{variable}}}', or 'auth: none' if it asks for none"
        reading.error(provider.place, what)
        return provider
    # A server on this machine that was started without a key takes anything, and some refuse an empty bearer.
    return replace(
        provider, endpoints=tuple(replace(e, auth="none") if e in wanting else e for e in provider.endpoints)
    )
