"""A plain reading of the rules for decisions, written without the code's tables, and what it is compared on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from hypothesis import strategies as st

from ampmap.formats.registry import FORMATS
from ampmap.routing.conditions import Facts
from ampmap.routing.decide import Ask
from ampmap.routing.snapshot import Availability, Cooldown, Offer
from ampmap.settings import (
    CREDIT_POLICIES,
    Amp,
    Endpoint,
    ModelEntry,
    Origin,
    Protocol,
    Provider,
    Rule,
    Settings,
    When,
)

Sent = list[tuple[str, str]]


@dataclass
class Expected:
    route_type: str
    sent: Sent
    rule: Rule | None
    credits: str = "allow"


@dataclass
class Reading:
    """One form of a name: its text, whether case counts, and the suffix that was taken off it or is still there."""

    rank: int
    text: str
    suffix: str = ""
    derived: bool = False
    suffixed: bool = False
    marked: bool = False

    def is_name(self, listed: str) -> bool:
        return listed == self.text or (self.rank > 1 and listed.lower() == self.text.lower())


def split(name: str) -> tuple[str, str | None]:
    if name.endswith(")") and name.rfind("(") > 0:
        at = name.rfind("(")
        return name[:at], name[at + 1 : -1]
    return name, None


def readings(name: str) -> list[Reading]:
    """Return the forms of a name in the order in which they are looked up."""
    trimmed = name.strip()
    base, suffix = split(trimmed)
    if trimmed.lower().endswith("[1m]") and len(trimmed) > 4:
        mark, (base, suffix) = trimmed[-4:], split(trimmed[:-4])
    elif base.lower().endswith("[1m]") and len(base) > 4:
        mark, base = base[-4:], base[:-4]
    else:
        mark = ""
    found = [
        Reading(rank, text, suffixed=suffix is not None, marked=bool(mark))
        for rank, text in enumerate((name, trimmed, trimmed))
    ]
    if mark and suffix is not None:
        found.append(Reading(4, base + mark, suffix, True, marked=True))
        found.append(Reading(3, f"{base}({suffix})", "", True, True))
    if mark or suffix is not None:
        found.append(Reading(4, base, suffix or "", True))
    if base.endswith("-20251101"):
        base = base.removesuffix("-20251101")
        found.append(Reading(5, base, suffix or "", True))
    found.append(Reading(6, base + ":latest", suffix or "", True))
    return found


def sent_as(name: str, suffix: str) -> str:
    base, own = split(name)
    if not suffix:
        return name
    return f"{base}({own or suffix})"


def names_at(each: Provider, world: Availability, reading: Reading) -> list[tuple[bool, str]]:
    """Return what one provider calls the name in one form: whether its case differs, and the name there."""
    exact = [entry for entry in each.models if "*" not in entry.id and "?" not in entry.id]
    found = [(entry.id != reading.text, entry.upstream or entry.id) for entry in exact if reading.is_name(entry.id)]
    offer = world.offers.get(each.name, Offer())
    if each.discover:
        listed = sorted(name for name in offer.models if reading.is_name(name))
        found += [(name != reading.text, name) for name in sorted(listed, key=lambda name: name != reading.text)[:1]]
        if not listed and reading.rank != 5:
            found += [(True, dated) for base, dated in offer.dated.items() if reading.is_name(base)]
    return sorted(found, key=lambda each: each[0])


def listing(config: Settings, model: str, world: Availability) -> list[tuple[Provider, str, bool]]:
    """Return who lists a model, the name there, and whether it lists only another form of the name."""
    found: dict[str, tuple[tuple[int, int, bool, int], Provider, str, bool]] = {}
    for place, each in enumerate(config.providers):
        for step, reading in enumerate(readings(model)):
            if each.name not in found:
                for other_case, name in names_at(each, world, reading)[:1]:
                    key = (0, step, other_case, place)
                    found[each.name] = (key, each, sent_as(name, reading.suffix), reading.derived)
        for step, reading in enumerate(readings(model)):
            for entry in each.models:
                glob = entry.id
                if each.name in found or not ("*" in glob or "?" in glob) or reading.rank == 6:
                    continue
                if (reading.marked and "[" not in glob) or reading.suffixed:
                    continue
                text, pattern = reading.text, glob.replace("[", "[[]")
                if reading.rank > 1:
                    text, pattern = text.lower(), pattern.lower()
                if fnmatchcase(text, pattern):
                    name = sent_as(entry.upstream or reading.text, reading.suffix)
                    found[each.name] = ((1, step, False, place), each, name, reading.derived)
    return [(each, name, derived) for _, each, name, derived in sorted(found.values(), key=lambda item: item[0])]


def serving(
    config: Settings, model: str, protocol: Protocol, world: Availability, translates: bool
) -> list[tuple[str, str, bool]]:
    native, translated = [], []
    for each, name, derived in listing(config, model, world):
        if protocol in [endpoint.protocol for endpoint in each.endpoints]:
            native.append((each.name, name, derived))
        elif translates and is_reached(each, protocol, config):
            translated.append((each.name, name, derived))
    return put_behind(native + translated, world)


def is_reached(each: Provider, protocol: Protocol, config: Settings) -> bool:
    """Tell whether requests are translated for a provider that does not speak their protocol."""
    wanted = config.translate if each.translate is None else each.translate
    into = [e for e in each.endpoints if e.auth != "client" and FORMATS[e.protocol].dialect is not None]
    return wanted and FORMATS[protocol].dialect is not None and bool(into)


def put_behind(ways: list[tuple[str, str, bool]], world: Availability) -> list[tuple[str, str, bool]]:
    free = [way for way in ways if way[0] not in world.cooldowns and way[:2] not in world.limited]
    limited = [way for way in ways if way[0] not in world.cooldowns and way[:2] in world.limited]
    cooling = [way for name in world.cooldowns for way in ways if way[0] == name and way[:2] not in world.limited]
    both = [way for name in world.cooldowns for way in ways if way[0] == name and way[:2] in world.limited]
    last = [way for name in world.cooldowns for way in (*cooling, *both) if way[0] == name]
    return free + limited + last


def holds(each: Rule, ask: Ask) -> bool:
    when = each.when or When()
    return (
        (not when.provider or when.provider == ask.segment)
        and (not when.tool_choice or when.tool_choice == ask.facts.tool_choice)
        and all((name.encode(), glob.encode()) in ask.headers for name, glob in when.headers)
    )


def rules_in_order(config: Settings, model: str) -> list[Rule]:
    usable = [
        each
        for each in config.amp.rules
        if each.source.strip() and each.targets and all(t.strip() for t in each.targets)
    ]
    named = [each for each in usable if not (each.regex or set(each.source) & set("*?"))]
    exact: list[Rule] = []
    for reading in readings(model):
        same = [each for each in named if each.source.strip().lower() == reading.text.strip().lower()]
        unconditional = [each for each in same if each.when is None]
        for each in same:
            if reading.rank != 6 and each not in exact and (each.when is not None or each is unconditional[-1]):
                exact.append(each)
    bases = [split(model)[0]]
    bases += [each.text for each in readings(model) if each.rank != 6 and not each.suffixed]
    patterns = [each for each in usable if each not in named and any(matches(each, base) for base in bases)]
    found = exact + patterns
    return [each for each in found if each.when is not None] + [each for each in found if each.when is None]


def matches(each: Rule, base: str) -> bool:
    source = each.source.strip()
    if each.regex:
        return re.search(source, base, re.IGNORECASE) is not None
    return fnmatchcase(base.lower(), source.lower().replace("[", "[[]"))


def expected_of(ask: Ask, config: Settings, world: Availability) -> Expected:
    assert ask.protocol is not None
    rules = rules_in_order(config, ask.model)
    local = serving(config, ask.model, ask.protocol, world, ask.translates)
    mapped: list[tuple[Rule, Expected]] = []
    for each in rules:
        ways: list[tuple[str, str, bool]] = []
        for target in each.targets:
            for way in serving(config, target_of(ask.model, target), ask.protocol, world, ask.translates):
                if way[:2] not in [other[:2] for other in ways]:
                    ways.append(way)
        if ways and holds(each, ask):
            sent = [way[:2] for way in put_behind(ways, world)]
            mapped.append((each, Expected("MODEL_MAPPING", sent, each)))
    direct = [Expected("LOCAL_PROVIDER", [way[:2] for way in local], None)] if local else []
    first = [way for each, way in mapped if is_named(each, ask.model)] if all(way[2] for way in local) else []
    if config.amp.force_model_mappings:
        first = [way for _, way in mapped]
    ways_in_order = [*first, *direct, *(way for _, way in mapped if way not in first)]
    reachable = [way for way in ways_in_order if any(name not in world.cooldowns for name, _ in way.sent)]
    if ways_in_order:
        return [*reachable, *ways_in_order][0]
    if ask.segment is None or config.amp.origin is None:
        return Expected("NO_PROVIDER", [], None)
    said = [each.credits for each in rules if each.credits and holds(each, ask)]
    return Expected("AMP_CREDITS", [], None, said[0] if said else config.amp.credits)


def is_named(each: Rule, model: str) -> bool:
    exact = not (each.regex or set(each.source) & set("*?"))
    return exact and each.source.strip().lower() == model.strip().lower()


def target_of(model: str, target: str) -> str:
    """Return the target with the mark and the suffix of the request, unless it has its own."""
    mark, suffix = "", split(model.strip())[1]
    for text in (model.strip(), split(model.strip())[0]):
        if text.lower().endswith("[1m]") and len(text) > 4 and not mark:
            mark, suffix = text[-4:], split(text[:-4])[1] or suffix
    base, own = split(target.strip())
    if base.lower().endswith("[1m]") and len(base) > 4:
        base, mark = base[:-4], base[-4:]
    elif target.strip().lower().endswith("[1m]") and len(target.strip()) > 4:
        base, own = split(target.strip()[:-4])
        mark = target.strip()[-4:]
    suffix = own or suffix
    return f"{base}{mark}({suffix})" if suffix else base + mark


BASES = ["a", "A", "ab", "ab-1", "b", " b", "c", "c-20251101", "c-20251301", "a[1m]", "ab:latest"]
NAMES = st.builds(
    str.__add__, st.sampled_from(BASES), st.sampled_from(["", "", "", "()", "(1)", "(x)(1)", " ", "(", ")", "[1M]"])
)
GLOBS = st.sampled_from(["a*", "?", "*b", "*", "[ab]", "a?-1", "*[1m]", "A?"])
WHENS = st.none() | st.builds(
    When,
    provider=st.sampled_from(["", "p"]),
    tool_choice=st.sampled_from(["", "t"]),
    headers=st.sampled_from([(), (("h", "v"),)]),
)
TARGETS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
CREDITS = st.none() | st.sampled_from(CREDIT_POLICIES)
RULES = st.builds(
    Rule,
    source=NAMES | GLOBS | st.just(" "),
    targets=st.lists(NAMES | st.just(""), max_size=3).map(tuple),
    credits=CREDITS,
    when=WHENS,
) | st.builds(
    Rule,
    source=st.sampled_from(["^a", "b$", "a|b", ".", "-1", " ^b ", "^ ", r"\("]),
    targets=TARGETS,
    regex=st.just(True),
    credits=CREDITS,
    when=WHENS,
)
ENTRIES = st.builds(ModelEntry, id=NAMES | GLOBS, upstream=st.sampled_from(["", "", "there", "a"]))


@st.composite
def configurations(draw: st.DrawFn) -> Settings:
    providers = tuple(
        Provider(
            name=f"p{number}",
            origin=Origin("http", "h", 80),
            endpoints=tuple(
                Endpoint(protocol=each) for each in draw(st.lists(st.sampled_from(tuple(FORMATS)), unique=True))
            ),
            models=tuple(draw(st.lists(ENTRIES, max_size=4))),
            discover=draw(st.booleans()),
            translate=draw(st.sampled_from([None, None, False, True])),
        )
        for number in range(draw(st.integers(0, 3)))
    )
    amp = Amp(
        rules=tuple(draw(st.lists(RULES, max_size=6))),
        force_model_mappings=draw(st.booleans()),
        credits=draw(st.sampled_from(CREDIT_POLICIES)),
        origin=draw(st.sampled_from([None, Origin("https", "ampcode.com", 443)])),
    )
    return Settings(providers=providers, amp=amp, translate=draw(st.booleans()))


def once_each(config: Settings) -> Settings:
    """Let a provider list no name twice: which of two entries for it counts is tested by itself."""
    providers = tuple(
        replace(each, models=tuple({entry.id: entry for entry in each.models}.values())) for each in config.providers
    )
    return replace(config, providers=providers)


OFFERS = st.builds(
    Offer,
    models=st.frozensets(st.sampled_from(BASES), max_size=3),
    dated=st.sampled_from([{}, {"c": "c-20251101"}]),
)
PROVIDERS = st.sampled_from(["p0", "p1", "p2"])
WORLDS = st.builds(
    Availability,
    cooldowns=st.lists(PROVIDERS, unique=True, max_size=2).map(lambda names: dict.fromkeys(names, Cooldown("", 0.0))),
    offers=st.dictionaries(PROVIDERS, OFFERS),
    limited=st.frozensets(st.tuples(PROVIDERS, st.sampled_from(["a", "ab"])), max_size=3),
)
ASKS = st.builds(
    Ask,
    protocol=st.sampled_from(tuple(FORMATS)),
    model=NAMES,
    segment=st.sampled_from([None, "p", "q"]),
    headers=st.sampled_from([(), ((b"h", b"v"),)]),
    facts=st.sampled_from([Facts(), Facts("t")]),
    translates=st.booleans(),
)
