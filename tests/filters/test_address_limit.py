"""address_limit: probing that gets 401, 403 and 404 is charged too."""

from __future__ import annotations

from tests.support import configs

LIMIT = {"probing": {"rate": "1/h", "burst": 4}}


def test_a_listener_limit_counts_404_and_405(gateway, origin, workers):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["path"] = "/known"
    config["listeners"] = configs.listener(address_limit=LIMIT)
    gate = gateway(config, workers=workers)
    statuses = [gate.get(f"/{n}").status for n in range(3)] + [gate.request("BREW", "/known").status]
    assert statuses == [404, 404, 404, 405]
    answer = gate.get("/known")
    assert (answer.status, answer.reason) == (429, "address_limited")
    assert int(answer["retry-after"]) >= 1
    assert service.saw_nothing()
    assert gate.log_line(status=429)["fault"] == "policy"


def test_a_route_limit_counts_401_and_403(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    gate = gateway(
        configs.protected(service, identity, tmp_path, address_limit=LIMIT, authorize={"scopes": "read"})
    )
    assert gate.get("/closed").status == 401
    assert gate.get("/closed", identity.bearer(exp=1)).status == 401
    assert gate.get("/closed", identity.bearer()).status == 403
    assert gate.get("/closed").status == 401
    answer = gate.get("/closed", identity.bearer(scope="read"))
    assert (answer.status, answer.reason) == (429, "address_limited")
    assert service.saw_nothing()
    assert gate.get("/open/a").status == 200, "the limit of a route is its own"


def test_a_group_limit_is_shared_by_its_routes(gateway, origin, issuer, tmp_path, workers):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["groups"] = {"shop": {"hosts": "any", "authenticate": "id", "address_limit": LIMIT}}
    config["routes"] = {
        name: {
            "group": "shop",
            "match": {"path": f"/{name}", "methods": "GET"},
            "access": "authenticated",
            "service": "origin",
        }
        for name in ("a", "b")
    }
    gate = gateway(config, workers=workers)
    headers = identity.bearer()
    assert [gate.get(path, headers).status for path in ("/a", "/b", "/a", "/b", "/a", "/b")] == [200] * 4 + [
        429
    ] * 2


def test_malformed_requests_end_the_connection_anyway(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(address_limit=LIMIT)
    gate = gateway(config)
    for _ in range(6):
        replies, closed = gate.send(b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n")
        assert replies[0].status in (400, 429) and closed
    assert service.saw_nothing()
