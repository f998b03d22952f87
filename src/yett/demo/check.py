"""`yett demo --check`: every line of the demo on free ports, with a fresh state, and a table of what came out."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from yett.demo.processes import Running
from yett.demo.shop import Shop, find_directory, free_ports
from yett.demo.story import AROUND, STEPS, Step
from yett.demo.tokens import ask_token, forged, tamper

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Result:
    """What came of a step."""

    step: Step
    got: str
    wanted: str

    @property
    def ok(self) -> bool:
        """Whether it came out as said."""
        return self.got == self.wanted


def run_check(directory: Path | None) -> int:
    """Runs all steps; 0 only if each came out as said."""
    found = find_directory(directory)
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="yett-demo-") as state:
        shop = Shop(found, Path(state), free_ports())
        with Running(shop, watch=False, quiet=True):
            results = [run_step(shop, step) for step in STEPS]
            results += [run_around(shop, step) for step in AROUND]
    table = Table("shows", "request", "wanted", "got", "")
    for result in results:
        step = result.step
        mark = "[green]ok[/]" if result.ok else "[red]WRONG[/]"
        table.add_row(step.shows, f"{step.method} {step.path}", result.wanted, result.got, mark)
    console = Console()
    # a file or a pipe has no width of its own
    (console if console.is_terminal else Console(width=160)).print(table)
    wrong = sum(not result.ok for result in results)
    print(f"{len(results) - wrong} of {len(results)} came out as said")
    return 1 if wrong else 0


def run_step(shop: Shop, step: Step) -> Result:
    """Sends a step's request, and around the gateway first where it is about what the gateway hides."""
    headers = {"Host": f"localhost:{shop.ports['gateway']}"}
    if step.credential == "key":
        headers["X-API-Key"] = shop.key
    elif step.credential != "none":
        token = ask_token(shop, step.client)
        headers["Authorization"] = f"Bearer {tamper(token) if step.credential == 'tampered' else token}"
    body = None if step.json is None else step.json.encode()
    if step.file is not None:
        body = (shop.state / step.file).read_bytes()
    if step.zeros:
        body = bytes(step.zeros)
    if step.json is not None or step.file is not None:
        headers["Content-Type"] = "application/json"

    statuses: list[int] = []
    reason: str | None = None
    content = b""
    for _ in range(step.times):
        status, reason, content = _send(lambda: _to_gateway(shop), step, headers, body)
        statuses.append(status)
    wanted = f"{step.expect} {step.reason or ''}".strip()
    got = f"{statuses[-1]} {reason or ''}".strip()
    if step.times > 1:
        wanted, got = f"200 … {wanted}", f"{statuses[0]} … {got}"
    if step.without is not None:
        shown = "with" if step.without.encode() in content else "without"
        wanted, got = f"{wanted} (without {step.without})", f"{got} ({shown} {step.without})"
    if step.inside is not None:
        inside, _, _ = _send(lambda: _to_service(shop, step.inside or "", "gateway"), step, {}, None)
        wanted, got = f"{wanted} (around: 401)", f"{got} (around: {inside})"
    return Result(step, got, wanted)


def run_around(shop: Shop, step: Step) -> Result:
    """Sends a step's request to a service around the gateway, where nothing but a refusal may come of it."""
    headers = {"Yett-Identity": forged(step)} if step.credential == "forged" else {}
    status, reason, _ = _send(lambda: _to_service(shop, step.inside or "", step.shown), step, headers, None)
    wanted = f"{step.expect} {step.reason}" if step.expect else "connection refused"
    return Result(step, f"{status} {reason}" if status else "connection refused", wanted)


def _to_service(shop: Shop, name: str, shown: str | None) -> http.client.HTTPConnection:
    """Directly, with a certificate of ours or without one."""
    context = ssl.create_default_context(cafile=str(shop.state / "internal-ca.pem"))
    if shown is not None:
        context.load_cert_chain(shop.state / f"{shown}.pem", shop.state / f"{shown}.key")
    port = shop.ports[name]
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)


def _to_gateway(shop: Shop) -> http.client.HTTPConnection:
    trust = ssl.create_default_context(cafile=str(shop.state / "ca.pem"))
    return http.client.HTTPSConnection("localhost", shop.ports["gateway"], timeout=TIMEOUT_S, context=trust)


def _send(
    connect: Callable[[], http.client.HTTPConnection], step: Step, headers: dict[str, str], body: bytes | None
) -> tuple[int, str | None, bytes]:
    """Status, the reason of a problem document (RFC 9457), and the body."""
    connection = connect()
    try:
        connection.request(step.method, step.path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        reason = None
        if (answer.getheader("Content-Type") or "").startswith("application/problem+json"):
            reason = str(json.loads(content).get("reason"))
        return answer.status, reason, content
    except OSError as error:
        return 0, type(error).__name__, b""
    finally:
        connection.close()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
