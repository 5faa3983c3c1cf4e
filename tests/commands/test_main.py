"""The commands as a shell runs them: real processes, real files, exit codes and what they print."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from kit import GUARD_S
from ports import held_port

from ampmap import __version__
from ampmap.commands.main import main
from ampmap.formats.registry import FORMATS

CONFIG = """\
listen: 127.0.0.1:0
amp-model-mappings:
  - {from: claude-opus-4.5, to: claude-sonnet-4}
  - {from: '^gpt-5', to: claude-sonnet-4, regex: true}
  - {from: costly, to: unserved, credits: refuse}
providers:
  - {name: anthropic, type: anthropic, api-key: not-shown, models: [claude-sonnet-4]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def no_config_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AMPMAP_CONFIG", "XDG_CONFIG_HOME", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert f"ampmap {__version__}\n" == capsys.readouterr().out


def test_check_accepts_a_good_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("to: unserved", "to: claude-sonnet-4"))

    assert 0 == main(["check", "--config", str(config), "--strict"])
    assert f"{config}: usable; 1 provider, 3 rules, 0 warnings\n" == capsys.readouterr().out


def test_check_warns_of_rules_that_never_apply(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == main(["check", "--config", str(config), "--strict"])
    assert f"{config}:5:5: warning: no provider lists unserved: this rule never applies\n" == capsys.readouterr().err


def test_check_tells_every_error_with_its_place(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("provider: []\nlisten: 8267\nlog: {format: xml}\n")

    assert 2 == main(["--config", str(config), "check"])
    lines = capsys.readouterr().err.splitlines()
    assert f"{config}:1:1: unknown key 'provider'; did you mean 'providers'?" == lines[0]
    assert [f"{config}:2:9", f"{config}:3:15"] == [line.partition(": ")[0] for line in lines[1:]]


def test_check_under_strict_fails_for_warnings(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(
        "amp-model-mappings:\n  - {from: a, to: b}\n  - {from: A, to: c}\n  - {from: '(', to: d, regex: true}\n"
    )

    assert 0 == main(["check", "--config", str(config)])
    assert 1 == main(["check", "--config", str(config), "--strict"])
    err = capsys.readouterr().err
    assert f"{config}:3:5: warning: a second rule from 'A'; this one wins over the one at {config}:2:5" in err
    assert f"{config}:4:5: warning: the rule is skipped" in err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["explain"], "explain what?"),
        (["explain", "--request", "/nowhere"], "/nowhere"),
        (["check", "--config", "/nowhere.yaml"], "which does not exist"),
        (["--host", "0.0.0.0"], "others could use this proxy"),
    ],
)
def test_what_cannot_be_done_is_said_and_exits_with_2(
    arguments: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == main(arguments)
    assert shown in capsys.readouterr().err


def test_a_request_file_without_a_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.json").write_text("[]")

    assert 2 == main(["explain", "--request", str(tmp_path / "r.json")])
    assert "top-level" in capsys.readouterr().err


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--port", "70000"])


def test_a_taken_port_is_said_and_exits_with_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert 1 == main(["--config", str(config), "--port", port])
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


@contextmanager
def serving(*arguments: str, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run ``python -m ampmap`` until the block ends; give the process, its opening block and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ampmap", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    try:
        block = ""
        while "Gemini CLI" not in block:
            line = process.stdout.readline()
            assert line, process.communicate()
            block += line
        yield process, block, block.partition("listens on ")[2].split()[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_serve_prints_what_it_serves_and_how_to_use_it_and_drains_on_term(config: Path) -> None:
    with serving("--config", str(config)) as (process, block, url):
        assert httpx.get(f"{url}/_ampmap/ready").text == "ready\n"
        assert f"config     {config}" in block
        assert "anthropic (https://api.anthropic.com; anthropic): claude-sonnet-4" in block
        assert f"'claude-opus-4.5' -> claude-sonnet-4 [{config}:3]" in block
        assert f"export ANTHROPIC_BASE_URL={url}" in block
        assert "not-shown" not in block

        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=GUARD_S)
        assert 0 == process.returncode
        assert "SIGTERM: draining" in err
        assert "/_ampmap/ready" in err


def test_serve_takes_providers_from_the_environment_without_a_file() -> None:
    with serving("--port", "0", "--log-format", "json", env={"OPENAI_API_KEY": "sk-not-shown"}) as (
        process,
        block,
        url,
    ):
        httpx.get(f"{url}/nothing")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=GUARD_S)

        assert "openai (https://api.openai.com; openai-chat, openai-responses): its own list" in block
        records = [record for line in err.splitlines() if "status" in (record := json.loads(line))]
        assert [(404, "REJECTED")] == [(record["status"], record["route_type"]) for record in records]
        assert "sk-not-shown" not in block + err


def test_serve_without_a_provider_says_what_to_do() -> None:
    with serving("--port", "0") as (process, _, _):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=GUARD_S)

    assert "warning: no provider is configured" in err and "`ampmap init`" in err


def test_a_second_signal_cuts_what_still_runs(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config.write_text(
            f"listen: 127.0.0.1:0\nproviders: [{{name: a, base-url: 'http://127.0.0.1:{silent.getsockname()[1]}', "
            "protocols: [anthropic], models: [m]}]\n"
        )
        with serving("--config", str(config)) as (process, _, url):
            host, _, port = url.removeprefix("http://").partition(":")
            with socket.create_connection((host, int(port))) as client:
                body = b'{"model": "m"}'
                client.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n\r\n" + body)
                upstream, _ = silent.accept()
                assert upstream.recv(10)
                process.send_signal(signal.SIGTERM)
                assert process.stderr is not None
                assert "draining" in process.stderr.readline()
                process.send_signal(signal.SIGTERM)

                assert client.recv(100) == b""
                assert 0 == process.wait(timeout=GUARD_S)
                assert "shutdown" in process.stderr.read()
                upstream.close()


def test_the_demo_shows_one_request_of_each_kind_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["demo"])
    out = capsys.readouterr().out
    for shown in (
        "= LOCAL_PROVIDER  by anthropic",
        "= MODEL_MAPPING  claude-opus-4.5 -> claude-sonnet-4  by anthropic",
        'the reply says "model": "claude-opus-4.5"',
        '-> calls get_weather {"city": "Paris"}',
        "= AMP_CREDITS",
        "! this request spends Amp credits",
        "= NO_PROVIDER",
        "This is anthropic, answering as claude-sonnet-4.",
        *(f"-> gemini-2.5-pro  translated {each} -> gemini" for each in FORMATS if each != "gemini"),
        *(f"-> claude-sonnet-4  translated {each} -> anthropic" for each in FORMATS if each != "anthropic"),
    ):
        assert shown in out
    assert 2 * len(FORMATS) == out.count("-> calls get_weather") == out.count("It rains in Paris.")


def test_a_reader_that_leaves_early_ends_the_demo_without_a_word() -> None:
    command = f"{sys.executable} -m ampmap demo | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)

    assert done.stdout.startswith("ampmap ")
    assert "" == done.stderr


def test_rules_are_added_listed_and_removed_in_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = config.read_text()

    assert 0 == main(["map", "add", "gpt-4.5", "claude-sonnet-4", "--config", str(config)])
    assert 0 == main(["map", "list", "--config", str(config)])
    assert f"'gpt-4.5' -> claude-sonnet-4 [{config}:6]" in capsys.readouterr().out
    assert 0 == main(["explain", "gpt-4.5", "--config", str(config)])
    assert 0 == main(["--config", str(config), "map", "remove", "gpt-4.5"])
    assert before == config.read_text()
    assert 2 == main(["map", "remove", "gpt-4.5", "--config", str(config)])


def test_there_is_nothing_to_edit_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["map", "list"])
    assert "`ampmap init` writes one" in capsys.readouterr().err


def test_init_writes_a_starter_once_that_check_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-not-shown")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # the vendor is not asked,
    monkeypatch.setattr("ampmap.commands.init.LOCAL", ())  # nor what runs on this machine

    assert 0 == main(["init"])
    path = tmp_path / ".config" / "ampmap" / "config.yaml"
    said = capsys.readouterr().out
    assert f"{path} is written" in said and "found anthropic (ANTHROPIC_API_KEY), but its models are not known" in said
    assert "(agents ask for claude-opus-4-8 today): not mapped, as the models of anthropic are not known" in said
    assert "sk-not-shown" not in path.read_text()
    assert 0 == main(["check", "--strict"])
    assert 2 == main(["init"])


def test_init_needs_a_home(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("HOME")

    assert 2 == main(["init"])
    assert "give --config PATH" in capsys.readouterr().err


def test_env_prints_what_a_shell_can_eval(config: Path) -> None:
    config.write_text("listen: 127.0.0.1:8300\nproviders: []\n")
    command = f'eval "$({sys.executable} -m ampmap env --config {config})"; echo "$AMP_URL $OPENAI_BASE_URL"'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)

    assert "http://127.0.0.1:8300 http://127.0.0.1:8300/v1\n" == done.stdout


def test_env_says_when_there_is_no_address(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("listen: unix:/tmp/x.sock\nproviders: []\n")

    assert 2 == main(["env", "amp", "--config", str(config)])
    assert "unix sockets only" in capsys.readouterr().err


def test_explain_takes_availability_from_the_proxy_that_runs_with_this_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_port() as port:
        config.write_text(CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        with serving("--config", str(config)):
            assert 0 == main(["explain", "claude-opus-4.5", "--config", str(config)])
            assert f"availability: learnt from the proxy that runs at 127.0.0.1:{port}" in capsys.readouterr().out
        assert 0 == main(["explain", "claude-opus-4.5", "--config", str(config)])
    assert "availability: as configured" in capsys.readouterr().out


def test_hup_reads_the_configuration_again(config: Path) -> None:
    with serving("--config", str(config)) as (process, _, _):
        assert process.stderr is not None
        process.send_signal(signal.SIGHUP)

        assert "configuration reloaded, generation 2: no change" in process.stderr.readline()
