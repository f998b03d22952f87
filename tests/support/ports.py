"""Ports for servers that have to be told one before they bind it: nginx, Redis, Pebble, the gateway of a test."""

from __future__ import annotations

import itertools
import os
import random
import socket
from pathlib import Path

# Below the range from which the kernel takes ports for connections and for port 0: a port that was free when we looked is
# then not given to somebody else before the server binds it.
_LOWEST, _SHARE = 12_000, 4_000
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _candidates() -> list[int]:
    range_of_kernel = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    first = _LOWEST + _PROCESS * _SHARE
    return [port for port in range(first, first + _SHARE) if port < int(range_of_kernel[0])]


_all = _candidates()
_start = random.randrange(len(_all)) if _all else 0
_next = itertools.cycle(_all[_start:] + _all[:_start])


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on; not given out again soon, nor to another test process."""
    for port in itertools.islice(_next, len(_all)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
