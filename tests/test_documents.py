"""What the documents say: commands are taken by the real parser, configurations read, links followed, names mapped."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from ampmap.commands.agents import AGENTS, RUN
from ampmap.commands.main import parser_for
from ampmap.config.file import parse
from ampmap.config.keys import WHEN
from ampmap.config.nodes import Node
from ampmap.config.reader import Reading
from ampmap.formats.registry import FORMATS
from ampmap.records.record import Record
from ampmap.routing.decide import Ask, decide
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Provider, Settings
from ampmap.testing import Call, Reply

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(EXAMPLES.glob("*.md")),
    *sorted(path for path in (ROOT / "tests").rglob("*.md") if "corpus" not in path.parts),
]
README_BYTES = 9_000
COMMON = {"python3", "pip", "mkdir", "ln", "install", "systemctl", "export", "apt-get", "pipx", "uv"}
"""Programs of others that documents may name, beside the agents' own."""


class Block(NamedTuple):
    """A fenced block: its language, and its text without the indentation of the fence."""

    document: Path
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        for found in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", document.read_text(), re.M | re.S):
            indent, language, text = found.groups()
            yield Block(document, language, re.sub(f"(?m)^{indent}", "", text))


BLOCKS = list(blocks())


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the document's name and the words of each command: lines of shell blocks, and inline code that is one."""
    for document, language, text in BLOCKS:
        if language in ("sh", "console"):
            lines = [line.removeprefix("$ ") for line in text.splitlines() if language == "sh" or line[:2] == "$ "]
            for line in lines:
                for command in re.split(r"&&", line):
                    yield document.name, shlex.split(command, comments=True)
    for document in DOCUMENTS:
        prose = re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.M | re.S)
        for found in re.findall(r"`([^`]+)`", prose):
            words = found.replace("\n", " ")
            if re.match(r"(?:ampmap|make) [\w-]|eval ", words) and "…" not in words:
                yield document.name, shlex.split(words)


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES


def test_the_readme_names_each_agent_that_can_be_run_with_its_formats() -> None:
    rows = [row for row in (ROOT / "README.md").read_text().splitlines() if "`ampmap run " in row]
    for name in RUN:
        (row,) = (row for row in rows if f"`ampmap run {name}`" in row)
        asked = FORMATS if "any of the four" in row else re.findall(r"`([\w-]+)`", row)
        assert set(asked) == set(AGENTS[name].protocols)


@pytest.mark.parametrize(("document", "words"), [pytest.param(*each, id=" ".join(each[1])) for each in commands()])
def test_a_command_is_one(document: str, words: list[str]) -> None:
    words = [word.removeprefix("[").removesuffix("]") for word in words]
    if words and words[0] == "eval":
        words = shlex.split(words[1].removeprefix("$(").removesuffix(")"))
    program = Path(words[0]).name if words else "export"
    if program == "ampmap":
        words = words[: words.index("--")] if "--" in words else words  # what follows is for the agent
        arguments = [{"AGENT": "claude", "PROTOCOL": "anthropic", "COMMAND": "serve"}.get(word, word) for word in words]
        parser_for(arguments[1:]).parse_args(arguments[1:])  # ends the test where it is wrong
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert {word for word in words[1:] if re.fullmatch("[a-z][a-z0-9-]*", word)} <= {*targets}
    else:
        agents = {agent.program for agent in AGENTS.values()} | {"llm"}
        assert program in COMMON | agents, f"{document} names a program that no test knows: {program}"
    for word in words:
        assert not word.startswith("examples/") or (ROOT / word).exists()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.document.name}-{block.language}")
def test_a_block_can_be_read(block: Block) -> None:
    if block.language == "yaml":
        env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block.text), "a-key")
        assert parse(block.text, "ampmap.yaml", env).warnings == ()
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "python":
        compile(block.text, str(block.document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    else:
        assert block.language in ("", "sh", "console", "tmux")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in map(slug, re.findall(r"^#+ (.*)$", target.read_text(), re.M)), link


async def test_the_program_of_the_manual_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (block,) = (block for block in BLOCKS if block.language == "python")
    path = tmp_path / "ampmap.yaml"
    path.write_text("listen: 127.0.0.1:0\n")
    code = compile(block.text, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, {"path": path, "os": os})

    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_messages_are_those_of_the_program() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "ampmap").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # strings over several lines
    rows = re.findall(r"^\| (`.*?) \| ", "".join(path.read_text() for path in DOCUMENTS), re.M)
    shown = re.findall(r"`(?:\d{3} |warning |… |ampmap\.yaml:\d+:\d+: )([^`]+)`", "\n".join(rows))
    filled_in = r"…|'[^']*'|\b(?:X|P|host|\d+ s|amp-credits-per-day|UTF-16)\b|="

    said = {part.strip(" :") for text in shown for part in re.split(filled_in, text)}
    assert len(shown) > 25
    assert [part for part in said if len(part) > 6 and part not in source] == []


def test_replies_are_written_as_the_manual_says() -> None:
    table = (EXAMPLES / "README.md").read_text().partition("| `Reply(…)` | gives |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([^`]+)`", row.split(" | ")[0]) for row in table.splitlines()[2:]]
    known = {each.name: each for each in fields(Reply)}
    for written in rows:
        filled = [f"{code}=1" if code in known else code for code in written]
        assert eval(f"Reply({', '.join(filled)})", {"Reply": Reply, "Call": Call}) != Reply()
    named = {code.partition("=")[0] for written in rows for code in re.split(r", (?=\w+=)", ", ".join(written))}
    assert {name for each in named for name in each.split(", ")} == known.keys()


def test_each_field_of_a_record_is_described() -> None:
    table = (EXAMPLES / "README.md").read_text().partition("| field of a record | ")[2].partition("\n\n")[0]
    described = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]
    record = Record()
    for each in fields(Record):
        if each.type == "str" or "None" in str(each.type):
            setattr(record, each.name, "x" if each.type == "str" else 1.0)

    assert sorted(described) == sorted(record.fields())


def test_each_condition_of_a_rule_is_described() -> None:
    said = (EXAMPLES / "README.md").read_text().partition("All conditions of a rule must hold:")[2].partition("\n\n")[0]

    missing = [key for key in WHEN if f"`{key}`" not in said]
    assert not missing, f"examples/README.md has to say under Rules what these conditions are: {missing}"


# The example configuration


def test_the_example_shows_every_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known: dict[str, set[str]] = {}
    read = Reading.fields

    def noted(reading: Reading, node: Node, names: Iterable[str]) -> dict[str, Node]:
        listed = list(names)
        found = read(reading, node, listed)
        known.setdefault(" ".join(listed), set()).update(found)
        return found

    monkeypatch.setattr(Reading, "fields", noted)
    text = (EXAMPLES / "ampmap.yaml").read_text()
    key = tmp_path / "anthropic.key"
    key.write_text("a-key\n")
    key.chmod(0o600)
    authority = tmp_path / "private-ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    text = re.sub(r"(?m)^( *)# (?=( *)[a-z-]+: )", r"\1", text)  # what is commented out is put into force
    text = re.sub(r"(?m)^ +api-key: \$\{ANTHROPIC.*\n", "", text).replace("~/.config/ampmap/anthropic.key", str(key))
    parse(text.replace("/etc/ssl/certs/private-ca.pem", str(authority)), "ampmap.yaml", {})

    missing = {name for names, shown in known.items() for name in names.split() if name not in shown}
    missing.discard("ampcode")  # migrating.md shows that block
    assert not missing, f"examples/ampmap.yaml has to show {', '.join(sorted(missing))}"


def test_the_example_shows_the_defaults() -> None:
    shown = parse((EXAMPLES / "ampmap.yaml").read_text(), "ampmap.yaml", {}).settings

    assert replace(shown, providers=(), source="", amp=replace(shown.amp, rules=())) == Settings(amp=Amp())


# The agents


def sections() -> dict[str, str]:
    _, *parts = re.split(r"^## ", (EXAMPLES / "agents.md").read_text(), flags=re.M)
    return {part.partition("\n")[0]: part for part in parts}


@pytest.mark.parametrize("name", sorted([*AGENTS.keys() - {"openai"}, "llm", "SDKs"]))
def test_each_agent_has_a_section_with_all_that_a_user_asks(name: str) -> None:
    text = sections()[name]

    assert f'eval "$(ampmap env {name if name in AGENTS else "openai"})"\n' in text
    for what in ("Ask", "Map", "Roles", "Traps", "Status line"):
        assert re.search(rf"^- \*\*{what}", text, re.M), what


@pytest.mark.parametrize("name", sorted([*AGENTS.keys() - {"openai", "pi"}, "llm"]))
def test_the_rules_for_an_agent_cover_what_it_asks_for(name: str) -> None:
    before, _, after = sections()[name].partition("- **Map**")
    rules = re.findall(r"^ +- \{from: .*\n", after, re.M)
    amp = parse("".join(["amp-model-mappings:\n", *rules]), "agents.md", {}).settings.amp
    models = dict.fromkeys(target for rule in amp.rules for target in rule.targets)
    provider = Provider(
        name="all",
        origin=Origin("http", "127.0.0.1", 1),
        endpoints=tuple(Endpoint(protocol=protocol) for protocol in FORMATS),
        models=tuple(ModelEntry(id=model) for model in models),
    )
    snapshot, _ = compile_snapshot(Settings(amp=amp, providers=(provider,)))
    protocols = AGENTS[name].protocols if name in AGENTS else ("openai-chat",)

    asked = re.findall(r"`((?:claude|gpt|gemini)-[\w.-]+)`", before)
    served = [model for model in asked if decide(Ask(protocols[0], model), snapshot, Availability()).candidates]
    assert served == asked
