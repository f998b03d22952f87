"""Processes under measurement: started, watched through /proc, and stopped by their own ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now, below the range of outgoing connections."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(low - 1, 1024, -1):
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _handed_out.add(port)
                return port
    raise RuntimeError("no free port")


_handed_out: set[int] = set()


def tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                children.setdefault(int(stat_fields(int(entry))[1]), []).append(int(entry))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on (proc(5)); the name, which may hold blanks, is left out."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(root: int) -> float:
    """User and system time of the tree: every thread, and children that have been waited for."""
    ticks = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            ticks += sum(int(field) for field in stat_fields(pid)[11:15])
    return ticks / TICK


def resident_bytes(root: int) -> int:
    """Resident memory of the tree; pages that its processes share count once per process."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return total


@dataclass
class Server:
    """A started server."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Of the process that was started; `tree` finds the rest."""
        return self.process.pid

    def wait_until_listening(self, seconds: float = 120) -> None:
        """Returns when the port accepts a connection; raises with the end of the log otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} does not listen:\n{tail}")

    def stop(self) -> None:
        """TERM, and KILL to what is left of the tree after five seconds."""
        pids = tree(self.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(5)


@contextlib.contextmanager
def serving(
    name: str,
    port: int,
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Starts a server, waits until it listens, and stops it at the end. Its output goes to `NAME.out`."""
    log = directory / f"{name}.out"
    out: IO[bytes]
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    server = Server(name, port, process, log)
    try:
        server.wait_until_listening()
        yield server
    finally:
        server.stop()


def status_of(port: int, path: str, token: str | None = None) -> tuple[int, bytes]:
    """Status and body of one GET."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
