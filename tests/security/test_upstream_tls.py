"""Gateway and service refuse each other: no, expired, not yet valid, wrong-CA, wrong-SAN and wrong-purpose certificates."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.certificates import DAY, Made, make
from tests.support.process import free_port
from tests.support.waiting import eventually
from yett.errors import ConfigurationError

ID = "uri:spiffe://shop.test/billing"
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture
def root() -> Made:
    return make("root", authority=True)


class Sides:
    """A service with a certificate, and a gateway's configuration that trusts `root`."""

    def __init__(self, origin: Any, directory: Path, root: Made) -> None:
        self.origin, self.directory, self.root = origin, directory, root
        self.ca = directory / "ca.pem"
        self.ca.write_text(root.pem)

    def service(self, leaf: Made, clients: Made | None = None, version: ssl.TLSVersion | None = None) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.written(self.directory / "service.pem"))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return self.origin(tls=context)

    def config(self, service: Any, client: Made | None = None, **tls: Any) -> dict[str, Any]:
        tls = {"ca": str(self.ca), **tls}
        if client is not None:
            both = client.written(self.directory / "client.pem")
            # The certificate is public; a private key beside it would not load.
            public = self.directory / "client-public.pem"
            public.write_text(client.pem)
            tls |= {"certificate": str(public), "key": {"file": both}}
        return {
            "services": {"origin": configs.service(service, tls=tls)},
            "routes": {"open": configs.route()},
        }


@pytest.fixture
def sides(origin: Any, tmp_path: Path, root: Made) -> Sides:
    return Sides(origin, tmp_path, root)


def refused(gate: Any, service: Any, cause: str) -> None:
    reply = gate.get("/a")
    assert (reply.status, reply.reason) == (502, "service_tls_failed")
    assert service.saw_nothing()
    assert gate.metric("yett_service_tls_failures_total", cause=cause) >= 1
    assert any(f'"{cause}"' in line for line in gate.events() if "service_tls_failed" in line)


@VERSIONS
@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("expired", "expired"),
        ("not_yet_valid", "not_yet_valid"),
        ("other_authority", "unknown_ca"),
        ("itself", "unknown_ca"),
        ("another_name", "wrong_name"),
        ("no_name", "wrong_name"),
        ("for_clients", "wrong_purpose"),
    ],
)
def test_a_service_with_a_wrong_certificate_gets_nothing(gateway, sides, root, version, case, cause):
    names = ["127.0.0.1"]
    leaf = {
        "expired": lambda: make("s", by=root, names=names, after=-9 * DAY, until=-DAY),
        "not_yet_valid": lambda: make("s", by=root, names=names, after=DAY),
        "other_authority": lambda: make("s", by=make("other", authority=True), names=names),
        "itself": lambda: make("s", names=names),
        "another_name": lambda: make("127.0.0.1", by=root, names=["127.0.0.2", "localhost"]),
        "no_name": lambda: make("127.0.0.1", by=root),
        "for_clients": lambda: make("s", by=root, names=names, client=True),
    }[case]()
    service = sides.service(leaf, version=version)
    refused(gateway(sides.config(service)), service, cause)


@VERSIONS
@pytest.mark.parametrize("case", ["none", "expired", "not_yet_valid", "other_authority", "for_servers"])
def test_a_service_refuses_a_gateway_with_a_wrong_certificate(gateway, sides, root, version, case):
    ours = {
        "none": lambda: None,
        "expired": lambda: make("gateway", by=root, client=True, after=-9 * DAY, until=-DAY),
        "not_yet_valid": lambda: make("gateway", by=root, client=True, after=DAY),
        "other_authority": lambda: make("gateway", by=make("other", authority=True), client=True),
        "for_servers": lambda: make("gateway", by=root),
    }[case]()
    service = sides.service(make("s", by=root, names=["127.0.0.1"]), clients=root, version=version)
    gate = gateway(sides.config(service, ours))
    reply = gate.get("/a")
    # With TLS 1.3 a client hears of it only after its part of the handshake is done.
    assert reply.status == 502 and reply.reason in {"service_tls_failed", "service_reset"}
    assert service.saw_nothing()


@pytest.fixture
def shop_service(root: Made, tmp_path: Path) -> Iterator[int]:
    """The port of the demo's orders service, which accepts one name of the gateway."""
    state, port = tmp_path / "state", free_port()
    state.mkdir()
    (state / "internal-ca.pem").write_text(root.pem)
    leaf = make("orders", by=root, names=["127.0.0.1"])
    leaf.written(state / "orders.pem")
    leaf.written(state / "orders.key")
    shop = Path(__file__).parents[2] / "examples" / "shop"
    process = subprocess.Popen([sys.executable, str(shop / "serve.py"), "orders", str(port), str(state)])
    try:
        eventually(lambda: listens(port), within=20, what="the orders service")
        yield port
    finally:
        # It would wait for the gateway's kept connection.
        process.kill()
        process.wait(10)


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("names", "status"),
    [
        # taken by the handshake; the service then asks who calls
        (["uri:spiffe://shop.example/gateway"], 401),
        (["uri:spiffe://shop.example/billing"], 502),
        (["dns:spiffe.shop.example"], 502),
        (["gateway.shop.example"], 502),
        ([], 502),
    ],
    ids=["the gateway", "another", "a DNS name", "a name", "none"],
)
def test_a_service_refuses_a_gateway_with_another_name(gateway, sides, root, shop_service, names, status):
    """All of these are of the right authority, in time and for clients."""
    ours = make("gateway", by=root, client=True, names=names)
    config = sides.config(sides.service(make("s", by=root, names=["127.0.0.1"])), ours)
    config["services"]["origin"]["endpoints"] = f"https://127.0.0.1:{shop_service}"
    reply = gateway(config).get("/tenants/acme/orders")
    assert reply.status == status
    assert status == 401 or reply.reason in {"service_tls_failed", "service_reset"}


@VERSIONS
def test_both_accept_each_other(gateway, sides, root, version):
    ours = make("gateway", by=root, client=True)
    service = sides.service(make("s", by=root, names=["127.0.0.1", ID]), clients=root, version=version)
    gate = gateway(sides.config(service, ours, san=ID))
    assert gate.get("/a").status == 200
    assert gate.metric("yett_service_tls_failures_total") == 0


@VERSIONS
@pytest.mark.parametrize(
    ("carried", "pinned", "cause"),
    [
        # A URI stands in place of the name.
        ([ID], [ID], None),
        (["127.0.0.2", ID], ["uri:spiffe://shop.test/old", ID], None),
        # Names and addresses come on top of it.
        (["127.0.0.1", "billing.internal"], ["dns:billing.internal"], None),
        (["127.0.0.1"], ["ip:127.0.0.1"], None),
        (["billing.internal"], ["dns:billing.internal"], "wrong_name"),
        (["127.0.0.1"], ["ip:127.0.0.2"], "not_pinned"),
        (["127.0.0.1"], [ID], "not_pinned"),
        (["127.0.0.1", "uri:spiffe://shop.test/billing2"], [ID], "not_pinned"),
        (["127.0.0.1", "uri:spiffe://shop.test/Billing"], [ID], "not_pinned"),
        (["127.0.0.1", "*.internal"], ["dns:billing.internal"], "not_pinned"),
        # The letters of one kind in another.
        (["127.0.0.1", "dns:spiffe://shop.test/billing"], [ID], "not_pinned"),
        (["127.0.0.1", "uri:dns:billing.internal"], ["dns:billing.internal"], "not_pinned"),
        (["127.0.0.1", "uri:billing.internal"], ["dns:billing.internal"], "not_pinned"),
        (["dns:127.0.0.1"], ["ip:127.0.0.1"], "not_pinned"),
    ],
)
def test_pinned_names_are_exact_and_keep_their_kind(gateway, sides, root, version, carried, pinned, cause):
    service = sides.service(make("billing.internal", by=root, names=carried), version=version)
    gate = gateway(sides.config(service, san=pinned))
    if cause is None:
        assert gate.get("/a").status == 200
    else:
        refused(gate, service, cause)


@pytest.mark.parametrize(
    "leaf",
    [
        lambda root: make("s", by=root, names=[ID], after=-9 * DAY, until=-DAY),
        lambda root: make("s", by=make("other", authority=True), names=[ID]),
        lambda root: make("s", by=root, names=[ID], client=True),
    ],
    ids=["expired", "unknown_ca", "wrong_purpose"],
)
def test_a_pinned_name_replaces_nothing_but_the_name(gateway, sides, root, leaf, request):
    service = sides.service(leaf(root))
    refused(gateway(sides.config(service, san=ID)), service, request.node.callspec.id)


def test_a_reload_trusts_anew_and_drops_idle_connections(gateway, sides, root):
    """What was verified under the old terms is not used under the new ones."""
    ours, other = make("gateway", by=root, client=True), make("other", authority=True)
    service = sides.service(make("s", by=root, names=["127.0.0.1", ID]), clients=root)
    gate = gateway(sides.config(service, ours))
    assert [gate.get("/a").status for _ in range(3)] == [200] * 3
    assert service.connections == 1

    gate.reload(sides.config(service, ours, san="uri:spiffe://shop.test/other"))
    assert gate.get("/a").reason == "service_tls_failed"
    gate.reload(sides.config(service, ours, san=ID))
    assert gate.get("/a").status == 200
    assert service.connections == 3

    # A renewed certificate of ours.
    gate.reload(sides.config(service, make("gateway", by=root, client=True), san=ID))
    assert gate.get("/a").status == 200
    assert service.connections == 4
    eventually(lambda: service.open_connections == 1, what="the old ones closed")

    # Another authority under the same file name, then the first again.
    sides.ca.write_text(other.pem)
    gate.reload(sides.config(service, ours, san=ID))
    seen = len(service.requests)
    assert gate.get("/a").reason == "service_tls_failed"
    assert len(service.requests) == seen
    sides.ca.write_text(root.pem)
    gate.reload(sides.config(service, ours, san=ID))
    assert gate.get("/a").status == 200

    # A key of another certificate does not load, and what served serves on.
    broken = sides.config(service, ours, san=ID)
    broken["services"]["origin"]["tls"]["key"]["file"] = make("x").written(sides.directory / "other.pem")
    with pytest.raises((ConfigurationError, ValueError)):
        gate.reload(broken)
    assert gate.get("/a").status == 200


@VERSIONS
@pytest.mark.parametrize(("case", "cause"), [("expired", "expired"), ("other_authority", "unknown_ca")])
def test_no_session_outlives_the_certificate_that_it_began_with(gateway, sides, root, version, case, cause):
    """The same service goes on with its ticket keys and a certificate that is no good: a resumed session would not show it."""
    names = ["127.0.0.1"]
    service = sides.service(make("s", by=root, names=names), version=version)
    gate = gateway(sides.config(service))
    for _ in range(3):
        assert gate.get("/a").status == 200
    later = {
        "expired": lambda: make("s", by=root, names=names, after=-9 * DAY, until=-DAY),
        "other_authority": lambda: make("s", by=make("other", authority=True), names=names),
    }[case]()
    service.tls.load_cert_chain(later.written(sides.directory / "later.pem"))
    service.drop_connections()
    service.forget()
    eventually(lambda: service.open_connections == 0, 40.0, "connections that the service has closed")
    refused(gate, service, cause)
