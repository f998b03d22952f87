"""`make soak`: mixed load for half an hour, with reloads and clients that leave; memory and descriptors have to be flat."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import idle, tokens, tools, transport
from bench.columns import PATH, Broken, Column, origin_config, start_yett, started
from bench.connections import Connection, Http2Connection
from bench.load import wrk
from bench.processes import Server, free_port, serving
from bench.report import MEGABYTE
from bench.tools import say

COLUMN = Column("yett-soak", "Yett", "", start_yett, "yett-soak.yaml", tokens=True)
WARM_UP = 0.2
GROWTH_MB, DESCRIPTORS = 8, 16


@dataclass(frozen=True)
class Sample:
    """After a cycle, with no load."""

    seconds: float
    resident_mb: float
    descriptors: int
    requests: int


def leave(server: Server, bench: transport.Bench, count: int = 100) -> None:
    """Clients that go away in the middle of a large answer, on both protocols."""
    for number in range(count):
        if number % 2:
            connection = Connection(server.port, bench.trust)
            connection.socket.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection.socket.recv(1000)
            connection.close()
        else:
            other = Http2Connection(server.port, bench.trust)
            other.get("/refused")
            other.close()
    bench.trust.set_alpn_protocols(["http/1.1"])


def reload(server: Server, config: Path, number: int) -> None:
    """Another body bound each time, by SIGHUP."""
    text = config.read_text()
    config.write_text(
        text.replace("body: 2MiB", "body: 3MiB") if number % 2 else text.replace("body: 3MiB", "body: 2MiB")
    )
    server.process.send_signal(signal.SIGHUP)


def cycle(server: Server, bench: transport.Bench, config: Path, number: int) -> int:
    """About 15 seconds of everything; returns how many requests that were."""
    done = transport.over_tls_with_tokens(server, 3, bench)
    reload(server, config, number)
    done += transport.http2_with_token(server, 3, bench)
    done += transport.download("https")(server, 2, bench) + transport.upload("https")(server, 2, bench)
    refused = wrk(server.port, PATH, 1, scheme="https", refused=True)
    if refused[0] != refused[2]:
        raise Broken("a request without a token was not refused")
    leave(server, bench)
    for _ in range(100):
        connection = Connection(server.port, bench.trust)
        if connection.get(PATH, bench.made.good[0])[0] != 200:
            raise Broken("a request after a handshake was refused")
        connection.close()
    if server.process.poll() is not None:
        raise Broken(f"the gateway ended with {server.process.returncode}")
    return done + refused[0] + 200


def sample(server: Server, begun: float, requests: int) -> Sample:
    """Once memory has settled."""
    resident = idle.settled(server.pid) / MEGABYTE
    return Sample(time.monotonic() - begun, resident, len(os.listdir(f"/proc/{server.pid}/fd")), requests)


def verdict(samples: list[Sample]) -> list[str]:
    """What is not flat: the last third beside the first third after the warm-up, by their middle values."""
    flat = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(flat) // 3)
    memory = median(s.resident_mb for s in flat[-third:]) - median(s.resident_mb for s in flat[:third])
    files = median(s.descriptors for s in flat[-third:]) - median(s.descriptors for s in flat[:third])
    faults = []
    if memory > GROWTH_MB:
        faults.append(f"memory grew by {memory:.1f} MB")
    if files > DESCRIPTORS:
        faults.append(f"descriptors grew by {files}")
    say(f"after the warm-up: memory {memory:+.1f} MB (at most {GROWTH_MB}), descriptors {files:+.0f}")
    return faults


def main() -> int:
    """Exit status: 0, 1 when something is not flat or a request fails, 2 when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    try:
        tools.debian()
        tools.WORK.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tools.WORK, prefix="soak-") as name:
            directory = Path(name)
            made = tokens.make(directory)
            bench = transport.prepare(directory, made)
            port = free_port()
            nginx = [tools.tool("nginx"), "-e", "stderr", "-c", str(origin_config(directory, port))]
            with serving("origin", port, nginx, directory), started(COLUMN, directory, port) as server:
                config = directory / f"{server.port}-{COLUMN.template}"
                begun = time.monotonic()
                samples: list[Sample] = []
                total = number = 0
                while time.monotonic() - begun < minutes * 60 or len(samples) < 5:
                    total += cycle(server, bench, config, number)
                    samples.append(sample(server, begun, total))
                    last = samples[-1]
                    say(
                        f"{last.seconds:6.0f} s  {last.resident_mb:6.1f} MB  {last.descriptors:4d} descriptors  {total:,} requests"
                    )
                    number += 1
            faults = verdict(samples)
    except tools.Missing as problem:
        say(str(problem))
        return 2
    except Broken as problem:
        say(str(problem))
        return 1
    for fault in faults:
        say(f"not flat: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
