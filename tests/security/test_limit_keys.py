"""Limits count the caller that is, not the one that is claimed: `::ffff:a.b.c.d`, an IPv6 /64, the number of trusted
hops (CVE-2026-30827); N parallel requests pass exactly the limit."""

from __future__ import annotations

import concurrent.futures

from tests.support import configs


def through_proxy(service, **limit):
    config = configs.public(service, address_limit={"probing": {"rate": "1/m", "burst": 3, **limit}})
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.0/8"], "header": "x-forwarded-for"}
    )
    return config


def statuses(gate, addresses):
    return [gate.get("/a", {"X-Forwarded-For": address}).status for address in addresses]


def test_a_mapped_address_is_the_address(gateway, origin):
    service = origin()
    gate = gateway(through_proxy(service))
    forms = ["9.9.9.9", "::ffff:9.9.9.9", "::ffff:909:909", "::FFFF:9.9.9.9", "0:0:0:0:0:ffff:9.9.9.9"]
    assert statuses(gate, forms) == [200, 200, 200, 429, 429]
    assert statuses(gate, ["9.9.9.8"]) == [200]
    assert service.saw_no_more_than(4)


def test_an_ipv6_network_of_64_bits_is_one_caller(gateway, origin):
    service = origin()
    gate = gateway(through_proxy(service))
    inside = [f"2001:db8:1:2::{number:x}" for number in (1, 2)] + [
        "2001:db8:1:2:ffff::1",
        "2001:db8:1:2:a:b:c:d",
    ]
    assert statuses(gate, inside) == [200, 200, 200, 429]
    assert statuses(gate, ["2001:db8:1:3::1"]) == [200]


def test_only_the_hop_that_a_trusted_proxy_saw_counts(gateway, origin):
    service = origin()
    gate = gateway(through_proxy(service))
    spoofed = [f"{n}.{n}.{n}.{n}, 9.9.9.9" for n in range(1, 7)]
    assert statuses(gate, spoofed) == [200] * 3 + [429] * 3
    assert service.saw_no_more_than(3)


def in_parallel(gate, count, ask):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: ask(), range(count)))


def test_parallel_requests_pass_exactly_the_address_limit(gateway, origin, workers):
    service = origin()
    gate = gateway(
        configs.public(service, address_limit={"probing": {"rate": "1/h", "burst": 20}}), workers=workers
    )
    answers = in_parallel(gate, 80, lambda: gate.get("/a"))
    assert sorted(answer.status for answer in answers) == [200] * 20 + [429] * 60
    assert all("retry-after" in answer for answer in answers if answer.status == 429)
    assert service.saw_no_more_than(20)


def test_parallel_requests_pass_exactly_the_rate_limit(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    config = configs.protected(
        service,
        identity,
        tmp_path,
        rate_limit={"per-caller": {"rate": "1/h", "burst": 20, "key": "principal"}},
    )
    gate = gateway(config, workers=workers)
    headers = identity.bearer()
    answers = in_parallel(gate, 80, lambda: gate.get("/closed", headers))
    assert sorted(answer.status for answer in answers) == [200] * 20 + [429] * 60
    assert gate.get("/closed", identity.bearer(sub="bob")).status == 200, (
        "another caller has a bucket of its own"
    )
    assert service.saw_no_more_than(21)


def test_a_new_token_is_no_new_caller(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(
        service,
        identity,
        tmp_path,
        rate_limit={"per-caller": {"rate": "1/h", "burst": 2, "key": "principal"}},
    )
    gate = gateway(config)
    assert [gate.get("/closed", identity.bearer(jti=f"{n}")).status for n in range(4)] == [200, 200, 429, 429]
    assert service.saw_no_more_than(2)


def test_a_reload_hands_out_no_second_burst(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    config = configs.protected(
        service,
        identity,
        tmp_path,
        rate_limit={"per-caller": {"rate": "1/h", "burst": 2, "key": "principal"}},
    )
    gate = gateway(config, workers=workers)
    headers = identity.bearer()
    assert [gate.get("/closed", headers).status for _ in range(3)] == [200, 200, 429]
    config["routes"]["new"] = configs.route("/new")
    gate.reload(config)
    assert gate.get("/closed", headers).status == 429
    assert service.saw_no_more_than(2)


def test_a_group_limit_is_one_bucket_over_its_routes(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["groups"] = {
        "shop": {
            "authenticate": "id",
            "hosts": "any",
            "rate_limit": {"per-caller": {"rate": "1/h", "burst": 4, "key": "principal"}},
        }
    }
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
    answers = [gate.get(path, headers).status for path in ("/a", "/b") * 4]
    assert answers == [200] * 4 + [429] * 4
    assert service.saw_no_more_than(4)
