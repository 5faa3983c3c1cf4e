"""Memory: what a large body holds at its highest, in a proxy that has seen none before."""

from __future__ import annotations

from contextlib import ExitStack

from .. import bodies, load, nginx, proxies
from ..bench import AMPMAP, NGINX, Bench
from ..figures import Measure, Target
from ..proxies import Proxy
from ..upstream import Plan

PATH = "/v1/messages"
BODY_BYTES = 5_000_000
AT_ONCE = 8
BODIES = "the bodies"
TRANSLATED = "translated"
BOTH = "openai-chat, anthropic"
# key, bodies, what the provider speaks, the most that is allowed
WAYS = (("1", 1, BOTH, 1.2), (str(AT_ONCE), AT_ONCE, BOTH, 1.2), (TRANSLATED, 1, "openai-chat", 2.5))


def memory(bench: Bench) -> list[Measure]:
    """Measure the highest memory for one body, and for eight that are all there before the first is answered."""
    body = bodies.conversation(bodies.ASKED, BODY_BYTES, "last")
    request = bodies.request(body, PATH)
    bench.upstream.plan(Plan())
    found = []
    for key, together, protocols, limit in WAYS:
        what = "one body" if together == 1 else f"{together} bodies at once"
        measure = Measure(
            f"memory.{key}",
            f"peak memory, {what} of 5 MB{', translated' if key == TRANSLATED else ''}",
            "× the bytes of the bodies",
            targets=(Target(AMPMAP, limit),),
            check=(BODIES,),
        )
        for number in bench.rounds(5, 2):
            bench.say(f"memory of {what}, round {number + 1}")
            with ExitStack() as stack:
                everyone = {AMPMAP: stack.enter_context(_ampmap(bench, protocols))}
                if key != TRANSLATED and not nginx.missing():
                    everyone[NGINX] = stack.enter_context(
                        nginx.nginx(bench.cores.proxy, bench.directory, bench.upstream.port)
                    )
                for label, proxy in everyone.items():
                    measure.add(label, _peak(proxy, request, together) / len(body) / together)
            measure.add(BODIES, 1.0)
        found.append(measure)
    return found


def _ampmap(bench: Bench, protocols: str) -> proxies.Running:
    where = (bench.cores.proxy, bench.directory, bench.upstream.port)
    return proxies.ampmap(*where, name="ampmap-fresh", protocols=protocols)


def _peak(proxy: Proxy, request: bytes, together: int) -> int:
    """Return the bytes by which memory rose."""
    small = bodies.request(bodies.chat(bodies.ASKED, 2048))
    with ExitStack() as stack:
        socks = [stack.enter_context(load.connect(proxy.port)) for _ in range(together)]
        for sock in socks:
            load.one_at_a_time(sock, small, 20)
        before = proxy.running.memory()
        proxy.running.forget_peak()
        for sock in socks:
            sock.sendall(request[:-1])
        replies = [load.ask(sock, request[-1:]) for sock in socks]
        if not all(reply.ok for reply in replies):
            raise load.LoadError("a large body was refused")
        return proxy.running.memory("VmHWM") - before
