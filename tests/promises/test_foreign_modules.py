"""Which modules in the working directory, a stranger's repository, are never run, and by which way of starting ampmap.

Each planted module leaves a mark and cannot be imported. The real program runs, with commands that import nearly all
of ampmap, asyncio, TLS and YAML.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

BIN = Path(sys.executable).parent
WAYS = {
    "-m": [sys.executable, "-m", "ampmap"],
    "-P -m": [sys.executable, "-P", "-m", "ampmap"],
    "command": [str(BIN / "ampmap")],
}

# ``python -m`` imports these by itself, or finds them in the place of ampmap, before any line of ampmap runs.
BEFORE_AMPMAP = (
    "ampmap", "collections", "contextlib", "functools", "importlib", "keyword", "operator", "reprlib", "types",
    "warnings",
)  # fmt: skip
PACKAGES = ("h11", "anyio", "uvloop", "ruamel", "watchdog", "sniffio", "idna", "typing_extensions", "_ruamel_yaml")
HARMLESS = sorted({*sys.stdlib_module_names, *PACKAGES, "sitecustomize", "usercustomize"} - {*BEFORE_AMPMAP})

CONFIG = """\
listen: 127.0.0.1:0
amp-upstream-url: ''
providers: [{name: p, base-url: 'https://127.0.0.1:9', protocols: [openai-chat], models: [m]}]
"""


def plant(folder: Path, *names: str) -> Path:
    """Plant modules, every other one as a folder; return the file in which they leave their names."""
    mark = folder / "mark"
    for number, name in enumerate(names):
        file = folder / (f"{name}.py" if number % 2 else f"{name}/__init__.py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(mark)!r}, 'a').write({name + ' '!r})\nraise ImportError\n")
    return mark


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "AMP"))}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "none"), **more}


def run_everything(way: str, folder: Path, env: dict[str, str]) -> None:
    """Run commands in ``folder`` to their end; they fail only where a planted module was imported."""
    config = folder.parent / "ampmap.yaml"
    config.write_text(CONFIG)
    for arguments in (["check"], ["explain", "m"]):
        command = [*WAYS[way], "--config", str(config), *arguments]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    command = [*WAYS[way], "--config", str(config)]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert "listens on " in line, process.communicate()
            url = line.partition("listens on ")[2].strip()
            assert httpx.get(f"{url}/_ampmap/status", trust_env=False).status_code == 200
            reply = httpx.post(f"{url}/v1/chat/completions", json={"model": "m"}, trust_env=False)
            assert reply.status_code == 502
        finally:
            process.terminate()
            process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("way", WAYS)
def test_no_module_of_a_repository_is_run_that_can_be_kept_out(way: str, folder: Path) -> None:
    names = HARMLESS if way == "-m" else [*HARMLESS, *BEFORE_AMPMAP]
    mark = plant(folder, *names)

    run_everything(way, folder, environment(folder))

    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("name", BEFORE_AMPMAP)
def test_only_the_command_and_a_safe_path_keep_these_out(name: str, folder: Path) -> None:
    mark = plant(folder, name)
    version = ["--version"]

    subprocess.run([*WAYS["-m"], *version], cwd=folder, env=environment(folder), capture_output=True, check=False)

    assert f"{name} " == mark.read_text()


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("path", [os.pathsep + "/nowhere", "/nowhere" + os.pathsep, "."])
@pytest.mark.parametrize("way", ["-m", "command"])
def test_an_empty_entry_in_pythonpath_lets_none_of_them_in(way: str, path: str, folder: Path) -> None:
    """``PYTHONPATH=$PYTHONPATH:/x`` makes the working directory a place of modules for every program."""
    mark = plant(folder, *PACKAGES, "ssl", "json", "asyncio", "typing", "dataclasses", "__future__", "re")

    command = [*WAYS[way], "explain", "m"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, PYTHONPATH=path), capture_output=True, check=False
    )

    assert not mark.exists(), mark.read_text()
    assert done.returncode == 3, done.stderr


def test_importing_the_package_imports_nothing(folder: Path) -> None:
    """``python -m`` imports it while the working directory is still where modules are looked for."""
    probe = "import sys; before = set(sys.modules); import ampmap; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path.append({str(package())!r}); {probe}"],
                          cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)  # fmt: skip

    assert "['ampmap']\n" == done.stdout


def package() -> Path:
    import ampmap

    return Path(ampmap.__file__).parent.parent
