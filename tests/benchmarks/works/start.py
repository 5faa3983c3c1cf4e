"""The start of the program, reloads, and look-ups: what is paid before a request, or in it for the rules."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time

from .. import bodies, inside, load, probe, proxies
from ..bench import AMPMAP, Bench
from ..figures import Measure, Target
from ..machine import environment, on, printed
from ..machine import start as start_process
from ..nginx import free_port
from ..upstream import Plan

_RULES = 1000
_BARE = "import time; print(time.process_time_ns())"
_IMPORT = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")


def start(bench: Bench) -> list[Measure]:
    """Measure the way from ``exec`` to the first answer, and what the configuration costs."""
    return [*_answers(bench), _imports(bench), *_rules(bench)]


def _answers(bench: Bench) -> list[Measure]:
    measure = Measure("start.exec", "from exec to the first answer", "ms", targets=(Target(AMPMAP, 350),))
    bare = "Python with no program"
    cpu = Measure("start.cpu", "the same, in CPU", "ms", check=(bare,))
    for number in bench.rounds(15, 7):
        if number == 0:
            bench.say("starts")
        began = time.perf_counter()
        alone = printed([sys.executable, "-c", _BARE], bench.cores.proxy)
        measure.add(bare, (time.perf_counter() - began) * 1e3)
        cpu.add(bare, int(alone) / 1e6)
        took, used = _started(bench)
        measure.add(AMPMAP, took)
        cpu.add(AMPMAP, used)
    return [measure, cpu]


def _started(bench: Bench) -> tuple[float, float]:
    """Return the milliseconds until the first answer, and the CPU in them."""
    port = free_port()
    config = bench.directory / "start.yaml"
    text = proxies.ampmap_config(bench.upstream.port).replace("127.0.0.1:0", f"127.0.0.1:{port}")
    config.write_text(text)
    command = [*proxies.ampmap_command(False), "--config", str(config)]
    began = time.perf_counter()
    process = start_process(command, bench.cores.proxy, bench.directory / "start.log")
    try:
        while True:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    reply = load.ask(sock, b"GET /_ampmap/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert reply.ok, reply.data
                    return (time.perf_counter() - began) * 1e3, process.cpu_ns() / 1e6
            if process.popen.poll() is not None:
                raise load.LoadError(process.log.read_text())
            time.sleep(0.001)
    finally:
        process.stop()


def _imports(bench: Bench) -> Measure:
    """Return the packages that take longest to import, each with what it alone imports first."""
    measure = Measure("start.imports", "imports of ampmap serve, by package (the longest ten)", "ms")
    found: dict[str, list[float]] = {}
    for _ in bench.rounds(5, 3):
        command = [sys.executable, "-X", "importtime", "-c", "import ampmap.commands.main"]
        with on(bench.cores.proxy):
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
        sums: dict[str, float] = {}
        for own, _, _, name in _IMPORT.findall(done.stderr):
            package = name.partition(".")[0]
            sums[package] = sums.get(package, 0.0) + int(own) / 1e3
        for package, value in sums.items():
            found.setdefault(package, []).append(value)
    longest = sorted(found.items(), key=lambda pair: -sorted(pair[1])[len(pair[1]) // 2])[:10]
    for package, values in longest:
        for value in values:
            measure.add(package, value)
    return measure


def _rules(bench: Bench) -> list[Measure]:
    reload = Measure(
        "start.reload", f"a reload of {_RULES} rules", "ms", targets=(Target("reading, on a thread", 100),)
    )
    turn = Measure("start.turn", "the longest turn of the loop meanwhile", "ms of CPU", targets=(Target(AMPMAP, 5),))
    lookup = Measure("start.lookup", "a decision, by the number of rules", "µs of CPU")
    lookup.targets = tuple(Target(f"ampmap, {name}", 1.25, "one rule") for name in inside.KINDS if name != "one rule")
    lookup.check = ("one rule",)
    bench.upstream.plan(Plan())
    for number in bench.rounds(5, 2):
        bench.say(f"rules, round {number + 1}")
        command = [sys.executable, "-m", "benchmarks.inside", str(bench.directory), str(_RULES)]
        found = json.loads(printed(command, bench.cores.proxy))
        reload.add("reading, on a thread", found["load_ms"])
        reload.add("compiling, on the loop", found["compile_ms"])
        for kind, value in found["decide_us"].items():
            lookup.add(kind if kind == "one rule" else f"ampmap, {kind}", value)
        with probe.ampmap(bench.cores.proxy, bench.directory, bench.upstream.port) as probed:
            probed.longest_ns()
            rules = inside.rules(_RULES)
            began = time.perf_counter()
            probed.config.write_text(proxies.ampmap_config(bench.upstream.port).replace(inside.BEFORE, rules))
            _wait_in_force(probed.proxy.port)
            reload.add("from the save until it is in force", (time.perf_counter() - began) * 1e3)
            turn.add(AMPMAP, probed.longest_ns() / 1e6)
    return [reload, turn, lookup]


def _wait_in_force(port: int) -> None:
    """Ask for what only the last of the new rules maps, until it is served."""
    request = bodies.request(bodies.chat(inside.name_of(_RULES - 1), 1024))
    deadline = time.monotonic() + load.GUARD_S
    with load.connect(port) as sock:
        while time.monotonic() < deadline:
            if load.ask(sock, request).ok:
                return
            time.sleep(0.005)
    raise load.LoadError("the new rules never came into force")
