"""The units, manifests and configurations in examples/: they load, are as closed as they say, and stop gently.

What has no engine here is checked as the text that it is.
"""

from __future__ import annotations

import configparser
import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import kit
import pytest
from ruamel.yaml import YAML

from ampmap import __version__
from ampmap.commands.main import main, parser_for
from ampmap.settings import Timeouts

EXAMPLES = Path(__file__).parent.parent / "examples"
CONTAINER = EXAMPLES / "container"
MOST_EXPOSED = 1.5
DRAIN_S = Timeouts().drain_s

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


class _Sections(dict[str, Any]):
    """Keys that stand several times in a unit keep all of their values."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self:
            value = self[key] + value
        super().__setitem__(key, value)


def unit(name: str) -> dict[str, list[str]]:
    """Return what a unit says, all sections together."""
    parser = configparser.RawConfigParser(strict=False, dict_type=_Sections)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(EXAMPLES / name)
    return {key: value.split("\n") for section in parser.sections() for key, value in parser.items(section)}


def accepted(arguments: list[str]) -> bool:
    """Tell whether the command line takes these arguments; it exits when it doesn't."""
    return parser_for(arguments).parse_args(arguments) is not None


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "anthropic").write_text("sk-not-shown\n")
    (tmp_path / "anthropic").chmod(0o400)  # as systemd makes it
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


# systemd


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units where their programs exist: in the place of the path to install to stands one that can be run."""
    for name in ("ampmap.service", "ampmap.socket", "ampmap-user.service"):
        text = (EXAMPLES / name).read_text()
        (tmp_path / name).write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))
    return tmp_path


def analyzed(*arguments: str, home: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin:/usr/sbin", "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LANG": "C"},
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    service, activated = str(installed / "ampmap.service"), str(installed / "ampmap.socket")

    assert "" == analyzed("verify", "--man=no", service, activated, home=installed)
    assert "" == analyzed("--user", "verify", "--man=no", str(installed / "ampmap-user.service"), home=installed)


@needs_systemd
def test_systemd_rates_the_service_as_well_closed(installed: Path) -> None:
    told = analyzed("security", "--offline=true", "--no-pager", str(installed / "ampmap.service"), home=installed)
    found = re.search(r"Overall exposure level for ampmap\.service: ([0-9.]+)", told)

    assert found is not None, told
    assert float(found[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("name", ["ampmap.service", "ampmap-user.service"])
def test_a_unit_tells_systemd_what_ampmap_does(name: str) -> None:
    told = unit(name)
    program, *arguments = shlex.split(told["ExecStart"][0])

    assert program.endswith("/ampmap")
    assert accepted(arguments)
    assert ["notify"] == told["Type"]
    assert ["/bin/kill -HUP $MAINPID"] == told["ExecReload"]
    assert float(told["TimeoutStopSec"][0]) > DRAIN_S
    assert float(told["WatchdogSec"][0]) >= 10
    assert "IPAddressDeny" not in told, "providers are on the internet"


def test_the_system_service_gets_its_keys_as_credentials() -> None:
    told = unit("ampmap.service")

    assert ["yes"] == told["DynamicUser"]
    names = [line.partition(":")[0] for line in told["LoadCredential"]]
    assert names == re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\S+)", (EXAMPLES / "ampmap-system.yaml").read_text())


def test_the_sockets_are_on_loopback_alone() -> None:
    assert all(at.startswith(("127.0.0.1:", "[::1]:")) for at in unit("ampmap.socket")["ListenStream"])


MDWE = """
import ctypes, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
from ampmap.commands.main import main
sys.exit(main(["demo"]))
"""


def test_it_works_where_no_memory_can_be_made_executable() -> None:
    done = subprocess.run([sys.executable, "-c", MDWE], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("this kernel cannot deny executable memory")

    assert 0 == done.returncode, done.stderr


# launchd


def test_launchd_can_read_its_plist() -> None:
    text = (EXAMPLES / "com.ampmap.plist").read_text()
    told = plistlib.loads(text.replace("@HOME@", "/Users/someone").encode())

    assert "com.ampmap" == told["Label"]
    program, *arguments = told["ProgramArguments"]
    assert Path(program).is_absolute()
    assert accepted(arguments)
    assert told["ExitTimeOut"] > DRAIN_S
    assert 0o077 == told["Umask"]
    assert "~" not in json.dumps(told), "launchd expands no tilde"


# Configurations


def test_the_system_configuration_has_no_fault(credentials: Path) -> None:
    assert 0 == main(["check", "--strict", "--config", str(EXAMPLES / "ampmap-system.yaml")])


def config_map() -> dict[str, str]:
    (found,) = [doc for doc in documents(CONTAINER / "kubernetes.yaml") if doc["kind"] == "ConfigMap"]
    data = found["data"]
    assert isinstance(data, dict)
    return data


@pytest.fixture(params=["compose", "kubernetes"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The directory that is mounted at /etc/ampmap."""
    directory = tmp_path / "mounted"
    if request.param == "compose":
        shutil.copytree(CONTAINER / "config", directory)
    else:
        directory.mkdir()
        for name, content in config_map().items():
            (directory / name).write_text(content)
    return directory


def test_a_containers_configuration_has_no_fault(
    mounted: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMPMAP_KEY", "a-key-for-agents")
    monkeypatch.delenv("AMP_API_KEY", raising=False)

    assert 0 == main(["check", "--strict", "--config", str(mounted)])


@pytest.mark.parametrize("key", [None, ""])
def test_a_container_without_a_key_for_its_callers_does_not_start(
    key: str | None,
    mounted: Path,
    credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if key is None:
        monkeypatch.delenv("AMPMAP_KEY", raising=False)
    else:
        monkeypatch.setenv("AMPMAP_KEY", key)

    assert 2 == main(["check", "--config", str(mounted)])
    assert f"{mounted / 'ampmap.yaml'}:" in capsys.readouterr().err


# Containers


def test_the_image_runs_as_nobody_and_hears_signals() -> None:
    lines = (CONTAINER / "Dockerfile").read_text().splitlines()
    last = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if line[:1].isalpha()}

    assert "65532:65532" == last["USER"]
    assert last["ENTRYPOINT"].startswith("["), "a shell would keep the signals to itself"
    assert accepted(json.loads(last["CMD"]))
    assert any("/_ampmap/health" in line for line in lines)
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((EXAMPLES.parent / name).exists() for name in line.split()[1:-1])


async def test_the_image_asks_itself_whether_it_is_well_past_the_proxy_for_the_way_out() -> None:
    text = (CONTAINER / "Dockerfile").read_text().replace("\\\n", "")
    (line,) = (line for line in text.splitlines() if line.startswith("HEALTHCHECK"))
    _, *arguments = json.loads(line.partition("CMD ")[2])
    dead = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https", "all")}

    async def asked(port: str) -> int:
        command = [sys.executable, *(argument.replace("8267", port) for argument in arguments)]
        return (await anyio.run_process(command, env={**os.environ, **dead, "no_proxy": ""}, check=False)).returncode

    async with kit.scripted(kit.answering(kit.OK)) as upstream, kit.proxying(upstream.origin) as proxy:
        port = proxy.url.rpartition(":")[2]
        assert 0 == await asked(port)
    assert 1 == await asked(port)


def test_compose_gives_the_container_no_more_than_it_needs() -> None:
    (told,) = documents(CONTAINER / "compose.yaml")
    service = told["services"]["ampmap"]

    assert service["read_only"] is True
    assert (["ALL"], ["no-new-privileges:true"]) == (service["cap_drop"], service["security_opt"])
    assert not service["user"].startswith("0")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert float(service["stop_grace_period"].removesuffix("s")) > DRAIN_S
    assert ["./config:/etc/ampmap:ro"] == service["volumes"], "a directory: a file would stay the old one"
    assert service["secrets"] == list(told["secrets"])
    assert (CONTAINER / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def deployment() -> dict[str, Any]:
    (found,) = [doc for doc in documents(CONTAINER / "kubernetes.yaml") if doc["kind"] == "Deployment"]
    pod = found["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def test_kubernetes_gives_the_pod_no_more_than_it_needs() -> None:
    pod = deployment()
    (container,) = pod["containers"]

    assert container["image"] == f"ampmap:{__version__}"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]
    assert accepted(container["args"])
    assert {"/_ampmap/ready"} == {container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe")}
    assert "/_ampmap/health" == container["livenessProbe"]["httpGet"]["path"]
    pause = float(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + pause


def test_what_the_pod_mounts_and_names_is_there() -> None:
    found = {doc["kind"]: doc for doc in documents(CONTAINER / "kubernetes.yaml")}
    pod = deployment()
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}

    assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
    assert all("subPath" not in mount for mount in container["volumeMounts"]), "a change would never arrive"
    assert found["ConfigMap"]["metadata"]["name"] == volumes["config"]["configMap"]["name"]
    assert found["Secret"]["metadata"]["name"] == volumes["secrets"]["secret"]["secretName"]
    assert 0o440 == volumes["secrets"]["secret"]["defaultMode"]
    assert {item["key"] for item in volumes["secrets"]["secret"]["items"]} <= found["Secret"]["stringData"].keys()
    env = {entry["name"]: entry for entry in container["env"]}
    assert env["AMPMAP_KEY"]["valueFrom"]["secretKeyRef"]["key"] in found["Secret"]["stringData"]
    paths = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "secrets"]
    assert [env["CREDENTIALS_DIRECTORY"]["value"]] == paths
    assert found["Deployment"]["spec"]["template"]["metadata"]["labels"] == found["Service"]["spec"]["selector"]
    assert set(re.findall(r"\$\{(\w+)", found["ConfigMap"]["data"]["ampmap.yaml"])) <= env.keys()
