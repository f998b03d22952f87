"""A login of a service of one's own: a form or JSON, people with passwords, and what it answers to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode

from tests.support.gateway import Gateway
from tests.support.origin import Origin, Stage
from tests.support.wire import Reply, Wire

FORM = "application/x-www-form-urlencoded"


def answers(people: dict[str, str]) -> Callable[[Stage], None]:
    """200 for a person's own password, 401 for anything else; GET is the page."""

    def behave(stage: Stage) -> None:
        body = stage.read_body()
        if stage.request.method == "GET":
            stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
            return
        if "json" in stage.request["content-type"]:
            sent = json.loads(body)
            user, password = sent["user"], sent["password"]
        else:
            fields = parse_qs(body.decode(), keep_blank_values=True)
            user, password = fields["user"][0], fields["password"][0]
        status = b"200 OK" if people.get(user) == password else b"401 Unauthorized"
        stage.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    return behave


def people(count: int) -> dict[str, str]:
    """`person-0` with the password `secret of person-0` …"""
    return {f"person-{number}": f"secret of person-{number}" for number in range(count)}


def login(
    gate: Gateway,
    user: str,
    password: str,
    address: str = "127.0.0.1",
    path: str = "/login",
    agent: str = "Browser/1",
) -> Reply:
    """Sends a form from one of the machine's loopback addresses, on a connection of its own."""
    body = urlencode({"user": user, "password": password}).encode()
    with Wire(gate.address(), source=(address, 0), timeout=40.0) as wire:
        return wire.ask("POST", path, {"User-Agent": agent, "Content-Type": FORM}, body)


def service(origin: Callable[..., Origin], known: dict[str, str]) -> Origin:
    """Starts one."""
    started = origin()
    started.behaviour = answers(known)
    return started
