"""A wheel made from the source distribution, in a new environment: its commands, completions and examples."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

from ampmap import __version__
from ampmap.commands.completions import FILES, Completions

ROOT = Path(__file__).parents[2]
SDIST_BYTES = 1_000_000


def run(*command: str | Path, **env: str) -> str:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300, env={**kept, **env}, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; what it depends on lies in the environment of the tests."""
    prefix = tmp_path_factory.mktemp("prefix")
    venv.create(prefix)
    (wheel,) = built.glob("*.whl")
    python = prefix / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel)
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return prefix


def test_the_commands_run_where_they_were_installed(installed: Path, tmp_path: Path) -> None:
    program = installed / "bin" / "ampmap"
    where = "import ampmap; print(ampmap.__file__)"

    assert run(installed / "bin" / "python", "-c", where).startswith(str(installed))
    assert f"ampmap {__version__}\n" == run(program, "--version")
    example = installed / "share" / "ampmap" / "examples" / "ampmap.yaml"
    assert "0 warnings" in run(program, "check", "--strict", "--config", example)
    assert "127.0.0.1:8267" in run(program, "env", "claude", HOME=str(tmp_path))


def test_all_examples_are_installed(installed: Path) -> None:
    folder = installed / "share" / "ampmap" / "examples"
    found = {
        path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    tracked = {path.relative_to(ROOT / "examples") for path in (ROOT / "examples").rglob("*") if path.is_file()}

    assert found == {path for path in tracked if "__pycache__" not in path.parts}


def test_bash_completes_commands_and_their_options(installed: Path) -> None:
    file = installed / "share" / "bash-completion" / "completions" / "ampmap"

    def completed(*words: str) -> list[str]:
        line = " ".join(words)
        script = (
            f"source '{file}'; COMP_WORDS=({line}{'' if words[-1] else ' ' + repr('')}); "
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
            "_shtab_ampmap; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        return run("bash", "-c", script).split()

    assert {"serve", "run", "check", "map"} <= set(completed("ampmap", ""))
    assert ["explain"] == completed("ampmap", "expl")
    assert "--strict" in completed("ampmap", "check", "--s")
    assert {"claude", "codex"} <= set(completed("ampmap", "env", ""))


@pytest.mark.parametrize(
    ("shell", "file"),
    [("zsh", "share/zsh/site-functions/_ampmap"), ("fish", "share/fish/vendor_completions.d/ampmap.fish")],
)
def test_other_shells_can_read_their_file(shell: str, file: str, installed: Path) -> None:
    text = (installed / file).read_text()

    assert all(word in text for word in ("explain", "strict", "claude"))
    if shutil.which(shell):
        run(shell, "-n", installed / file)


def test_a_wheel_gets_completions_and_an_editable_installation_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    hook = Completions(str(ROOT), {}, {}, None, str(tmp_path), "wheel")  # type: ignore[arg-type]  # it asks for no more
    editable: dict[str, dict[str, str]] = {"shared_data": {}}
    wheel: dict[str, dict[str, str]] = {"shared_data": {}}
    hook.initialize("editable", editable)
    hook.finalize("editable", editable, "")
    hook.initialize("standard", wheel)
    texts = {installed: Path(made).read_text() for made, installed in wheel["shared_data"].items()}
    hook.finalize("standard", wheel, "")

    assert {} == editable["shared_data"]
    assert set(FILES.values()) == texts.keys()
    assert all("explain" in text for text in texts.values())
    assert not any(Path(made).exists() for made in wheel["shared_data"])


def test_the_source_is_small_and_makes_the_same_wheel_without_what_only_builds(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    assert source.stat().st_size < SDIST_BYTES
    assert {"ampmap", "examples", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"} <= tops
    assert "tests" not in tops


def test_a_build_needs_nothing_that_the_wheel_contains(installed: Path) -> None:
    (package,) = installed.glob("lib/python*/site-packages/ampmap")

    assert (package / "commands" / "main.py").exists()
    assert not (package / "commands" / "completions.py").exists()
