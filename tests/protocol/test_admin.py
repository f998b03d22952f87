"""The admin listener: health, readiness, metrics; off the data port, and closed to other hosts and origins."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.wire import head


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway(configs.public(service)), service


def test_health_and_readiness(shop):
    gate, _ = shop
    assert gate.admin("/healthz").status == 200
    assert gate.admin("/readyz").status == 200
    assert gate.admin("/healthz", method="HEAD").status == 200


def test_metrics_count_what_happened(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["path"] = "/a"
    gate = gateway(config, workers=2)
    for _ in range(3):
        gate.get("/a")
    gate.get("/nowhere")
    gate.request("BREW", "/a")
    gate.wait_log(5)
    assert gate.metric("yett_requests_total", route="open", status="2xx") == 3
    assert gate.metric("yett_requests_total", status="4xx") == 2
    assert gate.metric("yett_refusals_total", reason="route_not_found", fault="client") == 1
    assert gate.metric("yett_refusals_total", reason="method_not_allowed") == 1
    scraped = gate.admin("/metrics")
    assert scraped.status == 200
    assert scraped["content-type"].startswith(("text/plain", "application/openmetrics-text"))
    names = [line.split(" ")[2] for line in scraped.body.decode().splitlines() if line.startswith("# TYPE")]
    assert names and len(names) == len(set(names))
    assert all(name.startswith(("yett_", "process_")) for name in names)


def test_metrics_do_not_grow_with_what_clients_send(shop):
    gate, _ = shop
    for number in range(20):
        gate.get(f"/a{number}")
    before = len(gate.metrics())
    for number in range(100):
        gate.request("GET", f"/b{number}", {"User-Agent": str(number)}, host=f"h{number}.test")
        gate.request(f"M{number}", "/a")
    assert len(gate.metrics()) <= before + 5


def test_it_is_not_on_the_data_port(shop):
    gate, service = shop
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = gate.get(path)
        assert b"yett_" not in answer.body
        assert service.last.target == path


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:9901",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "[::1].x",
        "evil@localhost",
    ],
)
def test_a_wrong_host_is_refused(shop, host):
    """A page of another site that rebinds its name to the loopback address."""
    gate, _ = shop
    for path in ("/metrics", "/healthz", "/readyz"):
        answer = gate.admin(path, host=host)
        assert answer.status in (400, 403, 421), (path, answer.status)
        assert b"yett_" not in answer.body


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_origin_is_refused(shop, headers):
    gate, _ = shop
    answer = gate.admin("/metrics", headers)
    assert answer.status in (400, 403)
    assert b"yett_" not in answer.body
    assert "access-control-allow-origin" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_it_changes_nothing(shop, method):
    gate, _ = shop
    answer = gate.admin("/metrics", method=method)
    assert answer.status in (400, 403, 404, 405, 501)


@pytest.mark.parametrize(
    "path",
    ["/", "/admin", "/config", "/status", "/debug/pprof", "/metrics/..", "//metrics", "/healthz/x", "/.env"],
)
def test_other_paths_are_404(shop, path):
    gate, _ = shop
    answer = gate.admin(path)
    assert answer.status in (400, 404)


def test_not_ready_while_draining(gateway, origin):
    import threading

    from tests.support.origin import reply
    from tests.support.waiting import eventually
    from tests.support.wire import Truncated

    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (stage.read_body(), release.wait(20), reply()(stage))
    gate = gateway(configs.public(service))
    with gate.connect(timeout=30) as wire:
        wire.send(head("GET", "/a"))
        service.wait_for(1)
        host, _, port = gate.status()["admin"]["address"].rpartition(":")
        from tests.support.wire import Wire

        stopping = threading.Thread(target=gate.stop, args=(15.0,))
        stopping.start()

        def unready():
            try:
                with Wire((host, int(port))) as probe:
                    return probe.ask(target="/readyz", host=f"{host}:{port}").status == 503
            except (Truncated, OSError):
                return False

        eventually(unready, what="readiness to go")
        release.set()
        assert wire.reply().status == 200
        stopping.join(20)


def test_a_public_address_wants_a_token(gateway, origin, tmp_path):
    config = configs.public(origin())
    config["admin"] = {"address": "0.0.0.0:0"}
    with pytest.raises(Exception):
        gateway(config)
    config["admin"]["token"] = {
        "file": configs.write_secret(tmp_path, "admin-token", b"a-long-admin-token-0123456789abcdef")
    }
    gate = gateway(config)
    _, _, port = gate.status()["admin"]["address"].rpartition(":")
    from tests.support.wire import Wire

    def ask(path, headers=()):
        with Wire(("127.0.0.1", int(port))) as wire:
            return wire.ask("GET", path, headers, host=f"127.0.0.1:{port}")

    assert ask("/healthz").status == 200
    assert ask("/metrics").status == 401
    assert ask("/metrics", {"Authorization": "Bearer a-long-admin-token-0123456789abcdeg"}).status == 401
    assert ask("/metrics", {"Authorization": "Bearer "}).status == 401
    good = ask("/metrics", {"Authorization": "Bearer a-long-admin-token-0123456789abcdef"})
    assert good.status == 200 and b"yett_" in good.body
