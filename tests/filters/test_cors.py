"""cors: preflights answered by the gateway, answers that pages may read, and pages that may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import configs
from tests.support.gateway import Gateway, compiled
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.waiting import eventually
from tests.support.wire import Reply
from yett.policy.engine import Engine, Question

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]
SHOP = "https://shop.example.com"
EVIL = "https://evil.example"
TOLD = "dpop-nonce, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id"


def shop(
    origin: Origin, methods: Any = None, cors: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    rules = {"origins": SHOP, "headers": {"any_of": ["authorization", "content-type"]}, **(cors or {})}
    wanted = methods or {"any_of": ["GET", "PUT"]}
    route = configs.route("/orders", wanted, cors=rules, **more)
    return {"services": {"origin": configs.service(origin)}, "routes": {"orders": route}}


def preflight(
    gate: Gateway,
    method: str = "PUT",
    origin: str = SHOP,
    headers: str = "",
    target: str = "/orders",
    **more: str,
) -> Reply:
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        fields["Access-Control-Request-Headers"] = headers
    return gate.request("OPTIONS", target, {**fields, **more})


def told(reply: Reply) -> dict[str, str]:
    """What the answer says to browsers of other origins."""
    return {
        name.lower(): value
        for name, value in reply.headers
        if name.lower().startswith(("access-control-", "vary"))
    }


def test_a_preflight_is_answered_by_the_gateway(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service, cors={"credentials": True, "max_age": "1h"}))
    answer = preflight(gate, headers="authorization,content-type")
    assert (answer.status, answer.body) == (204, b"")
    found = [value for name, value in answer.headers if name.lower() == "vary"]
    assert found == [
        "access-control-request-method, access-control-request-headers, access-control-request-private-network",
        "Origin",
    ]
    assert {name: value for name, value in told(answer).items() if name != "vary"} == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT, HEAD",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": "3600",
        "access-control-expose-headers": TOLD,
    }
    assert service.saw_nothing()
    line = gate.log_line(status=204)
    assert line["route"] == "orders" and line["method"] == "OPTIONS"


def test_a_preflight_comes_before_the_caller(
    gateway: Gateways, origin: Origins, issuer: Callable[..., Issuer], tmp_path: Path
) -> None:
    """Browsers send it without any credential; what follows needs one."""
    service, identity = origin(), issuer()
    rules = {"origins": SHOP, "headers": "authorization"}
    gate = gateway(configs.protected(service, identity, tmp_path, cors=rules))
    assert preflight(gate, "DELETE", headers="authorization", target="/a").status == 204
    refused = gate.request("DELETE", "/a", {"Origin": SHOP})
    assert (refused.status, refused.reason) == (401, "credential_missing")
    assert refused["access-control-allow-origin"] == SHOP and refused["vary"] == "Origin"
    assert "www-authenticate" in refused["access-control-expose-headers"]
    assert service.saw_nothing()
    answer = gate.request("DELETE", "/a", {**identity.bearer(), "Origin": SHOP})
    assert (answer.status, answer["access-control-allow-origin"]) == (200, SHOP)


def test_preflights_say_why_not(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(
        shop(
            service, methods={"any_of": ["GET", "PUT", "POST"]}, cors={"methods": {"any_of": ["GET", "PUT"]}}
        )
    )
    for reply, why in [
        (preflight(gate, origin=EVIL), f"`{EVIL}` is not among the origins"),
        (preflight(gate, origin="null"), "`null`"),
        (preflight(gate, origin=SHOP + ".evil.example"), "is not among the origins"),
        (preflight(gate, origin="http://shop.example.com"), "is not among the origins"),
        (preflight(gate, origin=SHOP + ":8443"), "is not among the origins"),
        (preflight(gate, "POST"), "`POST` is not among the methods"),
        (preflight(gate, headers="x-secret"), "`x-secret` is not among the header fields"),
        (preflight(gate, **{"Access-Control-Request-Private-Network": "true"}), "private"),
    ]:
        assert (reply.status, reply.reason) == (403, "cors_refused")
        assert why in reply.json()["detail"]
        assert "access-control-allow-methods" not in reply
    assert service.saw_nothing()
    eventually(
        lambda: gate.metric("yett_refusals_total", reason="cors_refused") == 8, what="refusals counted"
    )


def test_where_there_is_nothing_a_preflight_is_an_ordinary_request(
    gateway: Gateways, origin: Origins
) -> None:
    service = origin()
    gate = gateway(shop(service))
    nowhere = preflight(gate, target="/other")
    assert (nowhere.status, nowhere.reason) == (404, "route_not_found") and not told(nowhere)
    method = preflight(gate, "DELETE")
    assert (method.status, method.reason) == (405, "method_not_allowed") and not told(method)
    plain = gate.request("OPTIONS", "/orders", {"Origin": SHOP})
    assert plain.status == 405
    assert service.saw_nothing()


def test_a_service_that_answers_preflights_itself_goes_on_to(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    service.answers(204, b"", [("Access-Control-Allow-Origin", "*"), ("Access-Control-Max-Age", "5")])
    gate = gateway(configs.public(service))
    assert told(preflight(gate)) == {"access-control-allow-origin": "*", "access-control-max-age": "5"}
    assert service.only.method == "OPTIONS"


def test_a_route_with_options_gets_those_that_are_no_preflights(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service, methods={"any_of": ["GET", "OPTIONS"]}))
    assert preflight(gate, "GET").status == 204 and service.saw_nothing()
    assert gate.request("OPTIONS", "/orders").status == 200
    assert service.only.method == "OPTIONS"


def test_what_the_service_says_of_pages_is_replaced(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    own = [
        ("Access-Control-Allow-Origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("Access-Control-Expose-Headers", "*"),
        ("Vary", "Accept-Encoding"),
        ("ETag", '"1"'),
    ]
    service.answers(headers=own)
    gate = gateway(shop(service, cors={"expose": "etag"}))
    answer = gate.get("/orders", {"Origin": SHOP})
    assert answer.all("access-control-allow-origin") == [SHOP]
    assert answer.all("access-control-allow-credentials") == []
    assert answer["access-control-expose-headers"] == TOLD.replace("nonce, ", "nonce, etag, ")
    assert answer.all("vary") == ["Accept-Encoding", "Origin"] and answer["etag"] == '"1"'
    # A program, and a page of the host itself.
    for headers in ({}, {"Origin": "http://gateway.test"}):
        answer = gate.get("/orders", headers)
        assert answer.status == 200
        assert told(answer) == {"vary": "Origin"} and answer.all("vary") == ["Accept-Encoding", "Origin"]


def test_vary_stands_once(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service))
    for said in ("origin", "Accept, ORIGIN", "*"):
        service.answers(headers=[("Vary", said)])
        assert gate.get("/orders", {"Origin": SHOP}).all("vary") == [said]


def test_pages_that_may_not_reach_no_service(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service, methods={"any_of": ["GET", "POST"]}, cors={"methods": "GET"}))
    for method, source in [("GET", EVIL), ("GET", "null"), ("POST", EVIL), ("POST", SHOP), ("HEAD", EVIL)]:
        answer = gate.request(method, "/orders", {"Origin": source})
        assert answer.status == 403, (method, source)
        assert answer["vary"] == "Origin"
        # The page that may use the route can read what is wrong with the method.
        assert answer.all("access-control-allow-origin") == ([SHOP] if source == SHOP else [])
    assert gate.request("POST", "/orders", {"Origin": EVIL}).reason == "cors_refused"
    assert service.saw_nothing()


def test_a_form_of_the_host_itself_without_a_referrer(gateway: Gateways, origin: Origins) -> None:
    """A browser says `Origin: null` then, and where the page is from in `Sec-Fetch-Site`."""
    service = origin()
    gate = gateway(shop(service, methods="POST"))
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    answer = gate.post("/orders", headers=own)
    assert answer.status == 200 and told(answer) == {"vary": "Origin"}
    for site in ("cross-site", "same-site", "none"):
        assert gate.post("/orders", headers={**own, "Sec-Fetch-Site": site}).reason == "cors_refused"
    service.saw_no_more_than(1)


def test_any_origin_is_a_star_and_null_is_none_of_them(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    config = shop(service)
    config["routes"]["orders"]["cors"]["origins"] = "any"
    gate = gateway(config)
    answer = gate.get("/orders", {"Origin": EVIL})
    assert (answer["access-control-allow-origin"], answer["vary"]) == ("*", "Origin")
    assert gate.get("/orders", {"Origin": "null"}).reason == "cors_refused"
    config["routes"]["orders"]["cors"]["origins"] = {"any_of": ["any", "null"]}
    gate.reload(config)
    assert gate.get("/orders", {"Origin": "null"})["access-control-allow-origin"] == "null"


def test_a_pattern_is_one_label(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    config = shop(service)
    config["routes"]["orders"]["cors"]["origins"] = "https://*.shop.example.com"
    gate = gateway(config)
    page = "https://pr-17.shop.example.com"
    assert gate.get("/orders", {"Origin": page})["access-control-allow-origin"] == page
    for other in (
        "https://shop.example.com",
        "https://a.b.shop.example.com",
        "https://evil.example/.shop.example.com",
        "https://evil.example#.shop.example.com",
        "https://evilshop.example.com",
        "https://x.shop.example.com.evil.example",
        "https://PR.shop.example.com",
    ):
        assert gate.get("/orders", {"Origin": other}).reason == "cors_refused", other
    service.saw_no_more_than(1)


def test_private_networks(gateway: Gateways, origin: Origins) -> None:
    gate = gateway(shop(origin(), cors={"private_network": True}))
    asked = {"Access-Control-Request-Private-Network": "true"}
    assert preflight(gate, **asked)["access-control-allow-private-network"] == "true"
    assert "access-control-allow-private-network" not in preflight(gate)


def test_limits_are_charged_and_pages_can_read_them(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    limit = {"probing": {"rate": "1/h", "burst": 2}}
    gate = gateway(shop(service, address_limit=limit))
    assert [preflight(gate).status, preflight(gate).status, preflight(gate).status] == [204, 204, 429]
    answer = gate.get("/orders", {"Origin": SHOP})
    assert (answer.reason, answer["access-control-allow-origin"]) == ("address_limited", SHOP)
    assert service.saw_nothing()


def test_a_listeners_limit_can_be_read_too(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    config = shop(service)
    config["listeners"] = configs.listener(address_limit={"all": {"rate": "1/h", "burst": 1}})
    gate = gateway(config)
    assert gate.get("/orders", {"Origin": SHOP}).status == 200
    answer = gate.get("/orders", {"Origin": SHOP})
    assert (answer.reason, answer["access-control-allow-origin"]) == ("address_limited", SHOP)
    foreign = gate.get("/orders", {"Origin": EVIL})
    assert foreign.reason == "address_limited" and told(foreign) == {"vary": "Origin"}
    assert not told(gate.get("/other", {"Origin": SHOP}))
    service.saw_no_more_than(1)


def test_pages_can_read_that_a_service_is_down(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service))
    service.stop_listening()
    answer = gate.get("/orders", {"Origin": SHOP})
    assert (answer.status, answer["access-control-allow-origin"]) == (502, SHOP)


def test_answers_of_the_gateway_itself(gateway: Gateways, origin: Origins) -> None:
    config = shop(origin())
    config["routes"]["fixed"] = configs.route(
        "/fixed", "GET", cors={"origins": SHOP}, respond={"body": "x"}, service=None
    )
    gate = gateway(config)
    answer = gate.get("/fixed", {"Origin": SHOP})
    assert (answer.status, answer["access-control-allow-origin"], answer["vary"]) == (200, SHOP, "Origin")
    assert gate.get("/fixed", {"Origin": EVIL}).reason == "cors_refused"


def test_each_route_of_a_path_has_its_own(gateway: Gateways, origin: Origins) -> None:
    config = shop(origin(), methods="GET")
    config["routes"]["write"] = configs.route("/orders", "PUT", cors={"origins": EVIL})
    gate = gateway(config)
    assert preflight(gate, "GET").status == 204 and preflight(gate, "PUT").status == 403
    assert preflight(gate, "PUT", EVIL)["access-control-allow-methods"] == "PUT"


def test_a_group_says_it_for_its_routes(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    config = shop(service)
    rules = config["routes"]["orders"].pop("cors")
    config["groups"] = {"all": {"hosts": "any", "cors": rules}}
    del config["routes"]["orders"]["access"]
    config["routes"]["orders"] |= {"group": "all", "access": "authenticated", "authenticate": "keys"}
    config["identity_providers"] = {
        "keys": {
            "type": "api_key",
            "keys": str(Path(__file__).parents[1] / "config/cases/files/partners.keys.yaml"),
        }
    }
    config["routes"]["orders"]["tenant"] = {"none": "a test"}
    gate = gateway(config)
    assert preflight(gate).status == 204 and preflight(gate, origin=EVIL).status == 403
    assert gate.get("/orders", {"Origin": SHOP})["access-control-allow-origin"] == SHOP


def test_a_policy_tool_asks_the_same(gateway: Gateways, origin: Origins) -> None:
    gate = gateway(configs.public(origin()))
    engine = Engine(*compiled(gate.write(shop(origin()))))
    asked = (("Origin", SHOP), ("Access-Control-Request-Method", "PUT"))
    decided = engine.decide(Question("OPTIONS", "http://gateway.test/orders", asked))
    assert (decided["outcome"], decided["status"]) == ("answer", 204)
    refused = engine.decide(Question("PUT", "http://gateway.test/orders", (("Origin", EVIL),)))
    assert refused["refusal"]["reason"] == "cors_refused"
