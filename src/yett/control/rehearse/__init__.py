"""`yett certs rehearse`: what goes wrong with certificates one day, played today on scratch listeners.

The listeners have the TLS settings of the configuration and free ports on loopback; nothing else is contacted. Nobody
can sign with the authorities of a configuration, so a rehearsal authority stands in their place wherever a case needs a
certificate that does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from yett.config.certificates import utc_now
from yett.config.compile import Compiled
from yett.control.rehearse.cases import Played
from yett.control.rehearse.clients import client_cases
from yett.control.rehearse.ours import our_cases
from yett.control.rehearse.rollover import rollover
from yett.control.rehearse.scratch import Scratch

__all__ = ["Played", "rehearse"]


def rehearse(compiled: Compiled, timeout: float) -> Iterator[Played]:
    """Plays every case on every listener with TLS. `timeout`: seconds for each step of a connection."""
    document: dict[str, Any] = json.loads(compiled.ir)
    for listener in document["listeners"]:
        tls = listener.get("tls")
        # what an agent gives is not here to be played with
        if not tls or tls.get("waiting"):
            continue
        scratch = Scratch(document, listener, timeout)
        try:
            now = utc_now()
            yield from our_cases(scratch, listener["name"], tls, compiled.secrets, now)
            clients = tls.get("client_certificates")
            if clients:
                yield from client_cases(scratch, listener["name"], tls, clients, compiled.secrets, now)
                yield from rollover(scratch, listener["name"], clients, now, timeout)
        finally:
            scratch.close()
