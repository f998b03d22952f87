"""One caller's flood: what it is refused uses up nothing that others need, neither a shared bucket nor the table of keys."""

from __future__ import annotations

import concurrent.futures

from tests.support import configs


def limited(service, identity, directory, **limits):
    named = {name: {"rate": "1/h", **limit} for name, limit in limits.items()}
    return configs.protected(service, identity, directory, rate_limit=named)


def flood(gate, headers, count):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [
            answer.status for answer in pool.map(lambda header: gate.get("/closed", header), headers * count)
        ]


def test_a_refused_flood_leaves_the_bucket_of_all_to_others(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, everyone={"burst": 20, "key": "route"}, caller={"burst": 3})
    gate = gateway(config, workers=workers)
    statuses = flood(gate, [identity.bearer(sub="mallory")], 100)
    assert statuses.count(200) == 3 and statuses.count(429) == 97
    assert service.saw_no_more_than(3)
    answer = gate.get("/closed", identity.bearer(sub="ann"))
    assert answer.status == 200
    assert '"everyone";r=16;' in answer["ratelimit"]


def test_keys_that_a_caller_makes_up_fill_no_table(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = limited(
        service, identity, tmp_path, caller={"burst": 4}, device={"burst": 1, "key": {"header": "x-device"}}
    )
    config["process"] = {"limit_keys": 1024}
    gate = gateway(config)
    bearer = identity.bearer(sub="mallory")
    statuses = flood(gate, [{**bearer, "X-Device": f"made-up-{number}"} for number in range(300)], 1)
    assert statuses.count(200) == 4
    live = next(value for name, value in gate.metrics().items() if name.startswith("yett_limit_keys"))
    assert live == 5, "one of the caller, and one for each that passed"
