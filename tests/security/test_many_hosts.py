"""The same verdict with 10 and 10,000 hosts, in any case, with a trailing dot and a port (CVE-2026-27587)."""

from __future__ import annotations

import pytest

from tests.support import configs


@pytest.mark.parametrize("count", [10, 10_000])
def test_the_verdict_does_not_depend_on_how_many_hosts_there_are(gateway, origin, issuer, tmp_path, count):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    hosts = [f"host-{number}.example.test" for number in range(count)]
    config["routes"] = {
        "many": configs.route(
            "/{rest...}", hosts={"any_of": hosts}, authenticate="id", access="authenticated"
        ),
        "wild": configs.route("/{rest...}", hosts="*.example.test"),
    }
    gate = gateway(config)
    with gate.connect() as wire:
        for name in (hosts[0], hosts[count // 2], hosts[-1]):
            for spelling in (
                name,
                name.upper(),
                name.title(),
                name + ".",
                name + ":8443",
                name.upper() + ".:80",
            ):
                answer = wire.ask(target="/a", host=spelling)
                assert answer.reason == "credential_missing", spelling
        assert service.saw_nothing()
        assert wire.ask(target="/a", host="other.example.test").status == 200
        assert wire.ask(target="/a", host="example.test").reason == "route_not_found"
    assert service.saw_no_more_than(1)


def test_exact_hosts_beat_wildcards_whatever_the_path(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["routes"] = {
        "exact": configs.route(
            "/{rest...}", hosts="a.example.test", authenticate="id", access="authenticated"
        ),
        "wild": configs.route("/very/{specific}/path", hosts="*.example.test"),
    }
    gate = gateway(config)
    assert gate.get("/very/x/path", host="a.example.test").reason == "credential_missing"
    assert service.saw_nothing()
    assert gate.get("/very/x/path", host="b.example.test").status == 200
