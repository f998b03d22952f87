"""Listens to SPIFFE Workload APIs: what an agent gives is loaded like files that changed, and kept while it is away.

By the library `spiffe` (an extra). Keys are in memory only.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yett.config.spiffe import Context, Svid
from yett.control.logs import log

if TYPE_CHECKING:
    from yett.control.plane import Plane

FIRST_S = 5.0
"""How long a start, or a reload that names another socket, waits for its agent."""
PAUSES_S = (0.5, 15.0)
"""Between attempts to reach an agent: the first, and the longest."""
RELOAD_AGAIN_S = 30.0
"""After a reload with what came was refused."""


class Workloads:
    """What each agent said last; a thread for each socket."""

    def __init__(self, listen: Callable[[_Watch], None] | None = None) -> None:
        self._watches: dict[Path, _Watch] = {}
        self._listen = listen or _listen
        self._lock = threading.Lock()
        self.changed: Callable[[], None] = lambda: None
        """Called on a thread of its own when an agent gives something else than before."""

    def known(self) -> dict[Path, Context]:
        """By socket; without those that have not answered."""
        with self._lock:
            watches = list(self._watches.values())
        return {one.socket: one.context for one in watches if one.context is not None}

    def follow(self, sockets: Collection[Path], wait_s: float = FIRST_S) -> bool:
        """Listens to these and no others; waits for the first word of those that are new. Whether any is new."""
        with self._lock:
            for gone in set(self._watches) - set(sockets):
                self._watches.pop(gone).stop()
            new = [_Watch(socket, self._said) for socket in sockets if socket not in self._watches]
            self._watches |= {one.socket: one for one in new}
        for one in new:
            threading.Thread(target=self._listen, args=(one,), name="yett-spiffe", daemon=True).start()
        until = time.monotonic() + wait_s
        for one in new:
            one.spoke.wait(max(0.0, until - time.monotonic()))
        return bool(new)

    def close(self) -> None:
        """Listens to nobody any more."""
        self.follow((), 0.0)

    def _said(self) -> None:
        self.changed()


class _Watch:
    """One socket."""

    def __init__(self, socket: Path, said: Callable[[], None]) -> None:
        self.socket = socket
        self.context: Context | None = None
        self.spoke = threading.Event()
        self.stopped = threading.Event()
        self._said = said

    def stop(self) -> None:
        self.stopped.set()

    def take(self, context: Context) -> None:
        """What the agent gives now."""
        if self.stopped.is_set():
            return
        ids = [one.id for one in context.svids]
        changed, self.context = context != self.context, context
        self.spoke.set()
        if changed:
            log().info(
                "spiffe_identities", socket=str(self.socket), ids=ids, trust_domains=sorted(context.bundles)
            )
            self._said()


def _listen(watch: _Watch) -> None:
    """Until it is stopped: connects, hears what comes, and begins anew."""
    first, longest = PAUSES_S
    pause = first
    while not watch.stopped.is_set():
        heard = _hear(watch)
        pause = first if heard else min(longest, pause * 2)
        watch.stopped.wait(pause)


def _hear(watch: _Watch) -> bool:
    """One connection to an agent; whether anything of use came."""
    from spiffe import WorkloadApiClient
    from spiffe.errors import PySpiffeError

    ended, heard = threading.Event(), threading.Event()
    why: list[Exception] = []

    def failed(error: Exception) -> None:
        why.append(error)
        ended.set()

    def came(found: Any) -> None:
        try:
            watch.take(_context(found))
        except Exception as error:
            failed(error)
        else:
            heard.set()

    try:
        with WorkloadApiClient(f"unix://{watch.socket}") as client:
            stream = client.stream_x509_contexts(came, failed, retry_connect=False)
            while not ended.wait(0.2) and not watch.stopped.is_set():
                pass
            stream.cancel()
    except (PySpiffeError, OSError, ValueError) as error:
        why.append(error)
    if why and not watch.stopped.is_set():
        kept = watch.context is not None
        log().warning("spiffe_agent_failed", socket=str(watch.socket), problem=str(why[0])[:300], kept=kept)
    return heard.is_set()


def _context(found: Any) -> Context:
    """From the library's words to ours."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    def pem(certificates: Any) -> str:
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)

    def key(svid: Any) -> bytes:
        return bytes(svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    svids = tuple(Svid(str(one.spiffe_id), pem(one.cert_chain), key(one)) for one in found.x509_svids)
    bundles = {
        str(one.trust_domain.name): pem(
            sorted(one.x509_authorities, key=lambda ca: ca.public_bytes(Encoding.DER))
        )
        for one in found.x509_bundle_set.bundles
    }
    return Context(svids, bundles)


async def reload_on_change(plane: Plane) -> None:
    """For ever: what an agent gives anew is loaded."""
    loop, came = asyncio.get_running_loop(), asyncio.Event()

    def changed() -> None:
        loop.call_soon_threadsafe(came.set)

    plane.workloads.changed = changed
    while True:
        if not plane.agents_said():
            await came.wait()
            came.clear()
            continue
        outcome = await plane.reload("spiffe")
        if not outcome.ok:
            log().error("spiffe_identity_waits", problem="the configuration on disk does not load")
            await asyncio.sleep(RELOAD_AGAIN_S)
