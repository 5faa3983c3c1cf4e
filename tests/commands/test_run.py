"""``ampmap run``: an agent is pointed at a proxy of its own, and nothing else about it changes."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fakeagents import GUARD_S, Bench, stood_in, told

from ampmap.commands.main import main

TELL = "say(json.dumps({'arguments': sys.argv[1:], 'env': dict(os.environ), 'cwd': os.getcwd()}))\n"


@pytest.fixture(params=["asyncio", "uvloop", "as on macOS", "as on Windows"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with stood_in() as provider:
        yield Bench(tmp_path, provider, request.param)


@pytest.fixture
def one_loop(tmp_path: Path) -> Iterator[Bench]:
    with stood_in() as provider:
        yield Bench(tmp_path, provider)


@pytest.mark.sample(1 / 4)
def test_an_agent_is_served_and_a_table_says_by_whom(bench: Bench) -> None:
    bench.agent("say(ask(), ask(), ask('claude-haiku-4-5'), ask('gpt-9'))\nsys.exit(7)\n")

    done = bench.run("run", "claude")

    assert (7, "200 200 200 400\n") == (done.returncode, done.stdout)
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stderr.splitlines()]
    assert ["ampmap: 4 requests of Claude Code"] == rows[0]
    assert ["2 ×", "claude-opus-4-8 → served", "local", "200"] == rows[1][:4]
    assert ["1 ×", "gpt-9", "nobody", "400"] == rows[3][:4]
    assert f"  log: {bench.log}" == done.stderr.splitlines()[-1]
    assert "requested_model=claude-opus-4-8" in bench.log.read_text()
    assert 0o600 == stat.S_IMODE(bench.log.stat().st_mode)
    assert len(bench.provider.seen) == 3


def test_standard_streams_folder_and_arguments_are_the_agents(one_loop: Bench, tmp_path: Path) -> None:
    one_loop.agent("say(sys.stdin.read(), json.dumps(sys.argv[1:]), os.getcwd())\nprint('!', file=sys.stderr)\n")

    done = subprocess.run(
        one_loop.command("run", "claude", "--", "-p", "--", "a b", ""),
        input="from stdin", env=one_loop.env, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip

    assert f'from stdin ["--settings", "SETTINGS", "-p", "--", "a b", ""] {tmp_path}\n' == done.stdout.replace(
        json.dumps(settings_of(done.stdout)), '"SETTINGS"'
    )
    assert done.stderr.startswith("!\nampmap: Claude Code asked for no model through ampmap\n")


def settings_of(text: str) -> str:
    return str(json.loads(text[text.index("[") : text.rindex("]") + 1])[1])


def test_an_agents_own_environment_stays_and_no_http_proxy_takes_what_is_for_this_machine(one_loop: Bench) -> None:
    one_loop.variables = {"MINE": "kept", "ANTHROPIC_API_KEY": "elsewhere"}
    one_loop.variables |= {"HTTPS_PROXY": "http://192.0.2.1:1", "no_proxy": "corp.example"}
    one_loop.agent(TELL)

    env = told(one_loop.run("run", "claude").stdout)["env"]

    assert isinstance(env, dict)
    assert ("kept", "ampmap", None) == (env["MINE"], env["ANTHROPIC_AUTH_TOKEN"], env.get("ANTHROPIC_API_KEY"))
    assert ("127.0.0.1", "127.0.0.1,corp.example") == (env["NO_PROXY"], env["no_proxy"])


def test_pi_is_pointed_by_an_extension_that_is_gone_afterwards(one_loop: Bench) -> None:
    one_loop.agent("say(open(sys.argv[2]).read())\nsay(oct(os.stat(os.path.dirname(sys.argv[2])).st_mode))\n", "pi")

    done = one_loop.run("run", "pi")

    assert 'registerProvider("anthropic", {baseUrl: "http://127.0.0.1:' in done.stdout
    assert "0o40700" in done.stdout


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize(("name", "arguments"), [("pi", ["list"]), ("qwen", ["mcp", "list"])])
def test_no_option_stands_before_a_subcommand_that_takes_none(name: str, arguments: list[str], one_loop: Bench) -> None:
    one_loop.agent("say(sys.argv[1:])\n", name)

    assert f"{arguments}\n" == one_loop.run("run", name, "--", *arguments).stdout


def test_geminis_login_is_passed_by_without_a_change_to_its_files(one_loop: Bench) -> None:
    home = one_loop.root / "home" / ".gemini"
    home.mkdir()
    settings = '{\n  // mine\n  "theme": "x",\n  "security": {"auth": {"selectedType": "oauth-personal"}}\n}\n'
    (home / "settings.json").write_text(settings)
    for name in ("oauth_creds.json", "projects.json"):
        (home / name).write_text("login")
    one_loop.agent(
        "home = os.path.join(os.environ['GEMINI_CLI_HOME'], '.gemini')\n"
        "say(open(home + '/settings.json').read(), open(home + '/oauth_creds.json').read())\n"
        "for name in ('tmp/session', 'new.json', 'projects'): open(f'{home}/{name}', 'w').write('kept')\n"
        "os.rename(home + '/projects', home + '/projects.json')\nsay(home)\n",
        "gemini",
    )

    done = one_loop.run("run", "gemini")

    assert settings.replace("oauth-personal", "vertex-ai") + " login\n" in done.stdout
    assert settings == (home / "settings.json").read_text()
    assert ["kept"] * 3 == [(home / name).read_text() for name in ("tmp/session", "new.json", "projects.json")]
    assert "login" == (home / "oauth_creds.json").read_text()
    assert not Path(done.stdout.split()[-1]).exists()


def test_gemini_keeps_its_home_where_no_login_is_selected(one_loop: Bench) -> None:
    one_loop.agent("say(os.environ.get('GEMINI_CLI_HOME'), os.environ['GOOGLE_GENAI_USE_VERTEXAI'])\n", "gemini")

    assert "None true\n" == one_loop.run("run", "gemini").stdout


def test_any_program_is_pointed_by_the_variables_of_its_format(one_loop: Bench) -> None:
    program = one_loop.agent("say(sys.argv[1:], ask())\n", "mine")

    done = one_loop.run("run", "--as", "anthropic", "--", str(program), "-x")

    assert (0, "['-x'] 200\n") == (done.returncode, done.stdout)


def test_a_key_of_the_proxys_reaches_the_agent_by_its_environment_alone(one_loop: Bench) -> None:
    one_loop.more = "api-keys: [key-of-the-proxy]"
    one_loop.configure("claude-*")
    one_loop.agent("say(ask(), 'key-of-the-proxy' in ' '.join(sys.argv))\n")

    assert "200 False\n" == one_loop.run("run", "claude").stdout


def test_the_agents_own_login_is_left_to_it_where_a_provider_wants_it(one_loop: Bench) -> None:
    text = one_loop.config.read_text()
    one_loop.config.write_text(text.replace("auth: none", "auth: client"))
    one_loop.agent(TELL)

    env = told(one_loop.run("run", "claude").stdout)["env"]

    assert isinstance(env, dict) and "ANTHROPIC_AUTH_TOKEN" not in env and "ANTHROPIC_BASE_URL" in env


def test_what_is_saved_meanwhile_is_in_force(one_loop: Bench) -> None:
    one_loop.configure("other-*")
    one_loop.agent(
        "say(ask())\nend = time.monotonic() + 60\nwhile ask() != 200 and time.monotonic() < end: time.sleep(0.05)\n"
        "say(ask())\n"
    )

    with one_loop.started("run", "claude") as process:
        assert process.stdout is not None
        assert "400\n" == process.stdout.readline()
        one_loop.configure("claude-*")
        assert "200\n" == process.stdout.readline()
        assert process.wait(GUARD_S) == 0


def test_two_run_side_by_side(one_loop: Bench) -> None:
    one_loop.agent("say(os.environ['ANTHROPIC_BASE_URL'], ask())\nsys.stdin.read()\nsay(ask())\n")
    start = partial(subprocess.Popen, env=one_loop.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with start(one_loop.command("run", "claude")) as one, start(one_loop.command("run", "claude")) as other:
        assert one.stdout is not None and other.stdout is not None
        first, second = one.stdout.readline().split(), other.stdout.readline().split()
        assert first[0] != second[0] and first[1] == second[1] == "200"
        assert ("200\n", "200\n") == (one.communicate(timeout=30)[0], other.communicate(timeout=30)[0])
    assert 4 == one_loop.log.read_text().count("status=200")


def test_amps_login_for_its_server_is_used_at_this_address(one_loop: Bench) -> None:
    secrets = one_loop.root / "home" / ".local" / "share" / "amp" / "secrets.json"
    secrets.parent.mkdir(parents=True)
    secrets.write_text('{"apiKey@https://ampcode.com/": "sgamp_of_the_user"}')
    one_loop.agent("say(os.environ['AMP_URL'][:17], os.environ['AMP_API_KEY'])\n", "amp")

    done = one_loop.run("run", "amp")

    assert "http://127.0.0.1: sgamp_of_the_user\n" == done.stdout
    assert "  Amp credits: 0 paid, 0 avoided" in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["claude"], 127, "claude is not installed, or not on PATH; install it: npm install -g @anthropic-ai/"),
        (["--as", "anthropic", "--", "no-such-program"], 127, "no-such-program is not installed"),
        (["nobody"], 2, "ampmap run --as PROTOCOL -- nobody"),
        ([], 2, "knows the agents claude, codex, gemini, opencode, qwen, pi, aider, amp"),
        (["--as", "anthropic"], 2, "ampmap run --as PROTOCOL -- PROGRAM"),
        (["claude", "-p", "hi"], 2, "arguments of the agent stand behind --"),
        (["claude", "--config", "/nowhere.yaml"], 2, "/nowhere.yaml"),
    ],
)
def test_what_cannot_be_run_is_said(
    arguments: list[str], code: int, words: str, one_loop: Bench, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("AMPMAP_CONFIG", str(one_loop.config))
    try:
        found: object = main(["run", *arguments])
    except SystemExit as exc:
        found = exc.code

    assert code == found and words in capsys.readouterr().err


def test_a_program_that_cannot_be_started_is_said(one_loop: Bench) -> None:
    one_loop.agent("", "claude").write_text("#!/no/such/interpreter\n")

    done = one_loop.run("run", "claude")

    assert 126 == done.returncode and "cannot start" in done.stderr


def test_without_a_provider_it_is_said_what_to_do(one_loop: Bench) -> None:
    one_loop.config.write_text("providers: []\n")
    one_loop.agent("say('started')\n")

    done = one_loop.run("run", "claude")

    assert (2, "") == (done.returncode, done.stdout)
    assert "no provider is configured" in done.stderr and "ampmap init" in done.stderr


def test_a_log_that_cannot_be_written_stops_nobody(one_loop: Bench) -> None:
    one_loop.variables = {"XDG_STATE_HOME": "/dev/null"}
    one_loop.agent("say(ask())\n")

    done = one_loop.run("run", "claude")

    assert "200\n" == done.stdout and "  log: none" in done.stderr


def test_what_is_doubtful_in_the_configuration_is_said_before_the_agent_starts(one_loop: Bench) -> None:
    text = one_loop.config.read_text()
    one_loop.config.write_text(text.replace("mappings: [", "mappings: [{from: '(', to: served, regex: true}, "))
    one_loop.agent("print('started', file=sys.stderr)\n")

    first, second, *_ = one_loop.run("run", "claude").stderr.splitlines()

    assert f"{one_loop.config}:2:" in first and "the rule is skipped" in first and second == "started"
