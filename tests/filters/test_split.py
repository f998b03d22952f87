"""split: shares between services."""

from __future__ import annotations

import pytest

from tests.support import configs


def shared(one, two, split):
    config = configs.public(one)
    config["services"]["canary"] = configs.service(two)
    del config["routes"]["open"]["service"]
    config["routes"]["open"]["split"] = split
    return config


@pytest.mark.parametrize(("share", "low", "high"), [("0%", 0, 0), ("100%", 200, 200), ("50%", 60, 140)])
def test_shares(gateway, origin, share, low, high):
    one, two = origin(), origin()
    rest = f"{100 - int(share[:-1])}%"
    try:
        gate = gateway(shared(one, two, {"origin": rest, "canary": share}))
    except Exception as error:
        assert "0%" in (share, rest), error
        return
    with gate.connect() as wire:
        for _ in range(200):
            assert wire.ask(target="/a").status == 200
    assert low <= len(two.requests) <= high
    assert len(one.requests) + len(two.requests) == 200


@pytest.mark.parametrize(
    "split",
    [
        {},
        {"origin": "60%", "canary": "60%"},
        {"origin": "-1%", "canary": "101%"},
        {"origin": "50%", "nobody": "50%"},
        {"origin": 0.5, "canary": 0.5},
    ],
)
def test_shares_that_do_not_add_up_do_not_load(gateway, origin, split):
    with pytest.raises(Exception):
        gateway(shared(origin(), origin(), split))


def test_a_service_and_a_split_do_not_load(gateway, origin):
    config = shared(origin(), origin(), {"origin": "50%", "canary": "50%"})
    config["routes"]["open"]["service"] = "origin"
    with pytest.raises(Exception):
        gateway(config)


def test_the_log_names_the_service_that_answered(gateway, origin):
    one, two = origin(), origin()
    two.answers(body=b"two")
    gate = gateway(shared(one, two, {"origin": "50%", "canary": "50%"}))
    for _ in range(20):
        gate.get("/a")
    names = [line["service"] for line in gate.wait_log(20)]
    assert names.count("canary") == len(two.requests) and names.count("origin") == len(one.requests)
