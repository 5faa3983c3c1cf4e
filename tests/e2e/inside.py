"""Parts of a run within a network namespace: loopback, and ampmap as a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def loopback_up() -> None:
    """Do what ``ip link set lo up`` does, without it (netdevice(7))."""
    get, put, up, name = 0x8913, 0x8914, 1, b"lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        (flags,) = struct.unpack("16xH14x", fcntl.ioctl(sock, get, struct.pack("16s16x", name)))
        fcntl.ioctl(sock, put, struct.pack("16sH14x", name, flags | up))


@contextlib.contextmanager
def ampmap(config: Path, log: Path, home: Path) -> Iterator[int]:
    """Run ``python -m ampmap``; yield its port, which it tells in its first line."""
    command = [sys.executable, "-m", "ampmap", "--config", str(config), "--log-format", "json", "--log-level", "debug"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home / "nobody")}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, env=env)
    try:
        yield _port(process, log)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + 15
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:([1-9]\d*)", log.read_text()):
            try:
                with urllib.request.urlopen(f"{found[0]}/_ampmap/ready", timeout=5) as reply:
                    if reply.status == 200:
                        return int(found[1])
            except OSError:
                pass
        time.sleep(0.02)
    raise SystemExit(f"ampmap does not come up:\n{log.read_text()}")
