"""Certificates and trust bundles from a SPIFFE Workload API, with go-spiffe as agent, service and client."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.cli.conftest import Running, Yett
from tests.cli.test_acme import port
from tests.support.spiffe import TrustDomain, WorkloadApi, WorkloadService, asked
from tests.support.waiting import eventually
from tests.support.wire import Wire

GATE, BILLING, SHOP = (f"spiffe://example.org/{name}" for name in ("gate", "billing", "shop"))


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as found:
        yield found


@pytest.fixture
def domain() -> TrustDomain:
    return TrustDomain("example.org")


@pytest.fixture
def agent(stack: contextlib.ExitStack, domain: TrustDomain) -> Callable[..., WorkloadApi]:
    """`agent(path, …)` starts one whose first answer is these workloads of `example.org`."""
    count = 0

    def start(*paths: str, directory: Path) -> WorkloadApi:
        nonlocal count
        count += 1
        started = WorkloadApi(directory / f"agent-{count}.sock")
        stack.callback(started.stop)
        if paths:
            started.give(*(domain.issue(path) for path in paths), domain=domain)
        return started

    return start


def document(socket: Path, service_url: str | None = None, **tls: Any) -> dict[str, Any]:
    """`/hello` for whoever comes; `/shop` for one workload; `/billing` leads to another."""
    match = {"hosts": "any", "methods": "GET"}
    listener = {"spiffe": {"socket": str(socket)}, **tls}
    routes: dict[str, Any] = {
        "hello": {"match": {**match, "path": "/hello"}, "access": "public", "respond": {"status": 200, "body": "routed"}},
    }  # fmt: skip
    full: dict[str, Any] = {
        "version": 1, "access_log": "off", "process": {"drain": "1s"}, "admin": {"address": "127.0.0.1:0"},
        "listeners": {"secure": {"address": "127.0.0.1:0", "tls": listener}}, "routes": routes,
    }  # fmt: skip
    if "client_certificates" in tls:
        full["identity_providers"] = {
            "mesh": {
                "type": "mtls", "subject": "spiffe", "trust_domains": "example.org",
                "identities": {SHOP: {"client": "shop", "scopes": "hello"}},
            }
        }  # fmt: skip
        routes["shop"] = {
            "match": {**match, "path": "/shop"}, "authenticate": "mesh", "authorize": {"scopes": "hello"},
            "respond": {"status": 200, "body": "the shop"},
        }  # fmt: skip
    if service_url:
        full["services"] = {
            "billing": {
                "endpoints": service_url,
                "tls": {"spiffe": {"socket": str(socket)}, "san": f"uri:{BILLING}"},
                "pool": {"idle": 0},
            }
        }
        routes["billing"] = {"match": {**match, "path": "/billing"}, "access": "public", "service": "billing"}
    return full


def write(directory: Path, config: dict[str, Any]) -> Path:
    file = directory / "gateway.yaml"
    file.write_text(json.dumps(config))
    return file


def started(run: Callable[..., Running], file: Path) -> Running:
    """It waits for an agent at first."""
    running = run(file, wait=False)
    eventually(lambda: running.events("serving"), 60, "the start")
    return running


def shown(running: Running, domain: TrustDomain) -> x509.Certificate:
    """The certificate that the gateway shows to whoever trusts the domain."""
    context = ssl.create_default_context(cadata=domain.bundle)
    with Wire(("127.0.0.1", port(running)), tls=context, server_name="localhost") as wire:
        assert wire.ask("GET", "/hello", host="localhost").body == b"routed"
        return x509.load_der_x509_certificate(wire.socket.getpeercert(binary_form=True))


def shows(running: Running, domain: TrustDomain, serial: int | None = None) -> Callable[[], bool]:
    """Whether the certificate is one of the domain; with this serial number."""

    def found() -> bool:
        with contextlib.suppress(ssl.SSLError):
            number = shown(running, domain).serial_number
            return serial in {None, number}
        return False

    return found


def ask(running: Running, domain: TrustDomain, target: str) -> tuple[int, str]:
    context = ssl.create_default_context(cadata=domain.bundle)
    with Wire(("127.0.0.1", port(running)), tls=context, server_name="localhost") as wire:
        answer = wire.ask("GET", target, host="localhost")
        return answer.status, answer.body.decode()


def test_an_identity_is_served_and_its_renewal_is_loaded(
    run: Callable[..., Running], agent: Callable[..., WorkloadApi], domain: TrustDomain, tmp_path: Path
) -> None:
    workloads = agent(directory=tmp_path)
    first, second = domain.issue("/gate"), domain.issue("/gate")
    workloads.give(first, domain=domain)
    running = started(run, write(tmp_path, document(workloads.socket)))
    eventually(shows(running, domain, first.serial), 30, "the first certificate")
    workloads.give(second, domain=domain)
    eventually(shows(running, domain, second.serial), 30, "the renewed certificate")
    causes = [one["cause"] for one in running.events("configuration_applied")]
    assert causes[0] == "start" and set(causes[1:]) == {"spiffe"}, causes
    # nothing of the key is anywhere but in memory
    assert not list(tmp_path.rglob("*.key")) and "PRIVATE KEY" not in "".join(running.lines)
    # an agent that is away, or says no, takes nothing away
    workloads.stop()
    running.wait_for("spiffe_agent_failed")
    assert shown(running, domain).serial_number == second.serial
    third = domain.issue("/gate")
    workloads.start()
    workloads.give(third, domain=domain)
    eventually(shows(running, domain, third.serial), 60, "the agent's return")


def test_an_agent_that_is_not_there_yet_fails_handshakes_and_nothing_else(
    run: Callable[..., Running],
    agent: Callable[..., WorkloadApi],
    domain: TrustDomain,
    tmp_path: Path,
    yett: Yett,
) -> None:
    workloads = agent(directory=tmp_path)
    config = document(workloads.socket, "https://127.0.0.1:1")
    config["listeners"]["plain"] = {"address": "127.0.0.1:0", "plaintext": "test"}
    for name in config["routes"]:
        config["routes"][name]["listeners"] = {"any_of": ["secure", "plain"]}
    file = write(tmp_path, config)
    running = started(run, file)

    def plain(target: str) -> int:
        with Wire(("127.0.0.1", port(running, "plain"))) as wire:
            return wire.ask("GET", target).status

    with pytest.raises(ssl.SSLError):
        shown(running, domain)
    assert running.wait_for("tls_handshake_failed")["cause"] == "no_certificate"
    assert plain("/hello") == 200 and plain("/billing") in {502, 503}
    status = json.loads(yett("status", file, "--format", "json").stdout)
    assert sum("no workload identity yet" in line for line in status["warnings"]) == 2, status["warnings"]
    workloads.give(domain.issue("/gate"), domain=domain)
    eventually(shows(running, domain), 60, "the identity")
    assert json.loads(yett("status", file, "--format", "json").stdout)["warnings"] == []


def test_a_service_is_reached_as_a_workload_and_has_to_be_the_one_that_is_meant(
    run: Callable[..., Running],
    agent: Callable[..., WorkloadApi],
    domain: TrustDomain,
    tmp_path: Path,
    stack: contextlib.ExitStack,
) -> None:
    ours, theirs, others = (agent(path, directory=tmp_path) for path in ("/gate", "/billing", "/shop"))
    service, impostor = WorkloadService(theirs.socket, GATE), WorkloadService(others.socket, GATE)
    stack.callback(service.stop)
    stack.callback(impostor.stop)
    config = document(ours.socket, service.url)
    # another workload of the same trust domain in its place
    config["services"]["impostor"] = {**config["services"]["billing"], "endpoints": impostor.url}
    match = {**config["routes"]["billing"]["match"], "path": "/impostor"}
    config["routes"]["impostor"] = {"match": match, "access": "public", "service": "impostor"}
    running = started(run, write(tmp_path, config))
    eventually(shows(running, domain), 30, "the identity")
    assert ask(running, domain, "/billing") == (200, GATE)
    assert ask(running, domain, "/impostor")[0] == 502
    # both sides renew, and the authority is another one
    other = TrustDomain("example.org")
    theirs.give(other.issue("/billing"), domain=other)
    ours.give(other.issue("/gate"), domain=other)
    eventually(shows(running, other), 30, "the new authority")
    eventually(lambda: ask(running, other, "/billing") == (200, GATE), 30, "the service under it")


def test_clients_are_workloads_of_one_trust_domain(
    run: Callable[..., Running],
    agent: Callable[..., WorkloadApi],
    domain: TrustDomain,
    tmp_path: Path,
    stack: contextlib.ExitStack,
) -> None:
    ours, shop, billing = (agent(path, directory=tmp_path) for path in ("/gate", "/shop", "/billing"))
    demand = {"mode": "optional", "spiffe": {"socket": str(ours.socket), "trust_domain": "example.org"}}
    running = started(run, write(tmp_path, document(ours.socket, client_certificates=demand)))
    eventually(shows(running, domain), 30, "the identity")
    url = f"https://localhost:{port(running)}/shop"
    assert asked(shop.socket, GATE, url) == "200 the shop"
    assert asked(billing.socket, GATE, url).startswith("403 ")
    assert ask(running, domain, "/shop")[0] in {401, 403}
    # a federated authority vouches for nobody here, least of all for a workload of ours
    other = TrustDomain("elsewhere.example")
    forged = agent(directory=tmp_path)
    forged.give(other.issue("/shop", id=SHOP), domain=domain)
    ours.give(domain.issue("/gate"), domain=domain, federated=[other])
    running.wait_for("spiffe_identities", 2)
    said = asked(forged.socket, GATE, url)
    assert not said.startswith("200 ") and ("tls" in said or "remote error" in said), said
    assert asked(shop.socket, GATE, url) == "200 the shop"


def test_of_several_identities_the_one_that_is_named(
    run: Callable[..., Running], agent: Callable[..., WorkloadApi], domain: TrustDomain, tmp_path: Path
) -> None:
    workloads = agent("/other", "/gate", directory=tmp_path)
    config = document(workloads.socket)
    config["listeners"]["secure"]["tls"]["spiffe"]["id"] = GATE
    running = started(run, write(tmp_path, config))
    eventually(shows(running, domain), 30, "the identity")
    names = shown(running, domain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [GATE]


def test_what_a_reload_that_is_refused_names_changes_nothing(
    run: Callable[..., Running],
    agent: Callable[..., WorkloadApi],
    domain: TrustDomain,
    tmp_path: Path,
    yett: Yett,
) -> None:
    """What serves is listened to as before."""
    workloads, another = agent("/gate", directory=tmp_path), agent("/gate", directory=tmp_path)
    config = document(workloads.socket)
    file = write(tmp_path, config)
    running = started(run, file)
    broken = document(another.socket)
    broken["routes"]["hello"]["respond"] = {"status": 99}
    write(tmp_path, broken)
    assert yett("reload", file).returncode != 0
    write(tmp_path, config)
    renewed = domain.issue("/gate")
    workloads.give(renewed, domain=domain)
    eventually(shows(running, domain, renewed.serial), 60, "the renewed certificate")
