"""A deny rule that fails to evaluate denies."""

from __future__ import annotations

import pytest

from tests.support import configs

CLAIMS = {"tier": "tier", "level": {"from": "level", "type": "int"}, "teams": {"from": "teams", "type": "string_list"},
          "device_posture": "posture", "device_checked": {"from": "checked", "type": "int"}}  # fmt: skip
RULES = {
    "claim": {"claims": {"tier": "banned"}},
    "number": {"claims": {"level": {"at_most": 0}}},
    "list": {"claims": {"teams": {"any_of": ["left"]}}},
    "posture": {"device": {"posture": "rooted"}},
    "age": {"device": {"age": "1h"}},
    "condition": {"when": "principal.claims.level <= 0"},
    "a part that holds and one that fails to evaluate": {
        "addresses": "127.0.0.0/8",
        "when": "principal.claims.tier == 'x'",
    },
}


@pytest.fixture
def closed(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = CLAIMS

    def start(rule, **route):
        deny = {"deny": {"rule": rule}}
        config["routes"]["closed"] = configs.route(
            "/a", "GET", authenticate="id", access="authenticated", **{**deny, **route}
        )
        gate = gateway(config)
        return lambda **claims: gate.get("/a", identity.bearer(**claims))

    start.service = service
    return start


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_is_absent_denies(closed, rule):
    answer = closed(rule)()
    assert (answer.status, answer.reason) == (403, "policy_error")
    assert closed.service.saw_nothing()


def test_what_is_there_and_does_not_fit_denies_nothing(closed):
    ask = closed(RULES["claim"])
    assert ask(tier="gold").status == 200
    seen = len(closed.service.requests)
    assert ask(tier="banned").reason == "policy_denied"
    assert ask(tier=7).status == 401, "a claim of another type refuses the token"
    assert closed.service.saw_no_more_than(seen)
