"""A configuration error never widens access: what is broken does not load, and the old revision keeps serving."""

from __future__ import annotations

import pytest

from tests.support import configs


def broken(config, change):
    copy = configs.deep(config)
    change(copy)
    return copy


CHANGES = {
    "unknown provider": lambda c: c["routes"]["closed"].update(authenticate="nobody"),
    "no access decision": lambda c: c["routes"]["closed"].pop("access"),
    "authenticate alone": lambda c: (
        c["routes"]["closed"].pop("access"),
        c["routes"]["closed"].update(authenticate="id"),
    ),
    "empty list of providers": lambda c: c["routes"]["closed"].update(authenticate=[]),
    "empty any_of": lambda c: c["routes"]["closed"].update(authenticate={"any_of": []}),
    "empty authorize": lambda c: (
        c["routes"]["closed"].pop("access"),
        c["routes"]["closed"].update(authorize={}),
    ),
    "empty scopes": lambda c: (
        c["routes"]["closed"].pop("access"),
        c["routes"]["closed"].update(authorize={"scopes": []}),
    ),
    "public and authenticated": lambda c: c["routes"]["closed"].update(access="public"),
    "access and authorize": lambda c: c["routes"]["closed"].update(
        authorize={"scopes": "x"}, access="public"
    ),
    "misspelt authorize": lambda c: c["routes"]["closed"].update(authorise={"scopes": "x"}),
    "misspelt access": lambda c: c["routes"]["closed"].update(access="publik"),
    "authorize without providers": lambda c: (
        c["routes"]["closed"].pop("access"),
        c["routes"]["closed"].pop("authenticate"),
        c["routes"]["closed"].update(authorize={"scopes": "x"}),
    ),
    "null authenticate": lambda c: c["routes"]["closed"].update(authenticate=None),
    "unknown service": lambda c: c["routes"]["closed"].update(service="nobody"),
    "unknown group": lambda c: c["routes"]["closed"].update(group="nobody"),
    "unknown listener": lambda c: c["routes"]["closed"].update(listeners="nobody"),
    "no audience": lambda c: c["identity_providers"]["id"].pop("audience"),
    "empty audience": lambda c: c["identity_providers"]["id"].update(audience=""),
    "empty audiences": lambda c: c["identity_providers"]["id"].update(audience=[]),
    "no issuer": lambda c: c["identity_providers"]["id"].pop("issuer"),
    "no keys": lambda c: c["identity_providers"]["id"].update(jwks=""),
    "missing keys file": lambda c: c["identity_providers"]["id"].update(jwks="missing.json"),
    "symmetric algorithm": lambda c: c["identity_providers"]["id"].update(algorithms=["HS256"]),
    "algorithm none": lambda c: c["identity_providers"]["id"].update(algorithms=["none"]),
    "two routes for one request": lambda c: c["routes"].update(twin=configs.route("/{other...}")),
    "tenant of no variable": lambda c: (
        c["routes"]["closed"].pop("access"),
        c["routes"]["closed"].update(authorize={"tenant": "path.tenant"}),
    ),
    "limit of 0": lambda c: c["routes"]["closed"].update(
        rate_limit={"x": {"rate": "0/s", "burst": 1, "key": "principal"}}
    ),
    "limit without unit": lambda c: c["routes"]["closed"].update(
        rate_limit={"x": {"rate": 5, "burst": 1, "key": "principal"}}
    ),
    "negative burst": lambda c: c["routes"]["closed"].update(
        rate_limit={"x": {"rate": "1/s", "burst": -1, "key": "principal"}}
    ),
    "principal limit on a public route": lambda c: c["routes"]["open"].update(
        rate_limit={"x": {"rate": "1/s", "burst": 1, "key": "principal"}}
    ),
    "body without limit": lambda c: c["routes"]["closed"].update(limits={"body": "unlimited"}),
    "wildcard in the middle": lambda c: c["routes"]["closed"]["match"].update(hosts="a.*.test"),
    "no methods": lambda c: c["routes"]["closed"]["match"].update(methods=[]),
    "no hosts": lambda c: c["routes"]["closed"]["match"].pop("hosts"),
    "plaintext without a reason": lambda c: c["services"]["origin"].pop("plaintext"),
    "plaintext true": lambda c: c["services"]["origin"].update(plaintext=True),
    "listener without TLS or reason": lambda c: c.update(listeners={"main": {"address": "127.0.0.1:0"}}),
    "missing certificate": lambda c: c.update(
        listeners={
            "main": {
                "address": "127.0.0.1:0",
                "tls": {
                    "profile": "modern",
                    "certificates": [{"chain": "missing.pem", "key": {"file": "missing.key"}}],
                },
            }
        }
    ),
    "no certificates": lambda c: c.update(
        listeners={"main": {"address": "127.0.0.1:0", "tls": {"profile": "modern", "certificates": []}}}
    ),
    "admin for everyone": lambda c: c.update(admin={"address": "0.0.0.0:0"}),
    "unknown version": lambda c: c.update(version=2),
    "no version": lambda c: c.update(version=None),
    "bad leeway": lambda c: c["identity_providers"]["id"].update(leeway="1d"),
    "bad trusted proxies": lambda c: c.update(
        listeners=configs.listener(
            trusted_proxies={"addresses": ["10.0.0.0/33"], "header": "x-forwarded-for"}
        )
    ),
    "other forwarding header": lambda c: c.update(
        listeners=configs.listener(trusted_proxies={"addresses": ["10.0.0.0/8"], "header": "x-client-ip"})
    ),
    "sets what the gateway owns": lambda c: c["routes"]["closed"].update(
        request_headers={"set": {"Host": "x"}}
    ),
    "header with newline": lambda c: c["routes"]["closed"].update(
        request_headers={"set": {"X-A": "a\r\nX-B: b"}}
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_broken_configuration_does_not_load_and_the_old_one_serves(
    gateway, origin, issuer, tmp_path, change
):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    gate = gateway(config)
    revision = gate.status()["revision"]
    with pytest.raises(Exception) as caught:
        gate.reload(broken(config, change))
    assert not isinstance(caught.value, KeyError | TypeError | AttributeError | AssertionError), caught.value
    assert gate.status()["revision"] == revision
    assert gate.get("/closed").reason == "credential_missing"
    assert service.saw_nothing()
    assert gate.get("/closed", identity.bearer()).status == 200
    assert gate.get("/open/a").status == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version: 1\nversion: 1\n",
        "version: 1\nroutes: &a {}\nservices: *a\n",
        "a: b: c",
        "\t",
        "[]",
        "null",
        "version: 1\n---\nversion: 1\n",
        "version: 1\n<<: {routes: {}}\n",
        "!!python/object:os.system x",
        "version: 1\nroutes: {a: {access: public, access: authenticated}}\n",
        "\x00",
        "version: 01\n",
        "version: '1'\n",
        "version: yes\n",
    ],
    ids=[
        "empty",
        "duplicate",
        "alias",
        "nested",
        "tab",
        "list",
        "null",
        "two documents",
        "merge",
        "tag",
        "deep duplicate",
        "nul",
        "octal",
        "string",
        "yes",
    ],
)
def test_a_text_that_is_no_configuration_does_not_load(gateway, origin, issuer, tmp_path, text):
    service = origin()
    gate = gateway(configs.protected(service, issuer(), tmp_path))
    with pytest.raises(Exception):
        gate.reload(text)
    assert gate.get("/closed").reason == "credential_missing"
    assert service.saw_nothing()


def test_a_provider_that_cannot_be_reached_refuses_its_route_only(gateway, origin, issuer):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity)
    identity.go_down()
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).reason == "identity_provider_unavailable"
    assert gate.get("/closed").reason == "credential_missing"
    assert service.saw_nothing()
    assert gate.get("/open/a").status == 200
    assert gate.admin("/readyz").status == 200, "readiness is not about providers"


def test_the_data_plane_refuses_a_document_by_itself(gateway, origin, issuer, tmp_path):
    """Were Python wrong, the IR would still be checked: unknown fields, dangling names, an unknown version."""
    import json

    from tests.support.gateway import compiled
    from yett import _core

    service = origin()
    config = configs.protected(service, issuer(), tmp_path)
    gate = gateway(config)
    ir, secrets = compiled(gate.write(config))
    document = json.loads(ir)

    def spoil(change):
        copy = json.loads(ir)
        change(copy)
        with pytest.raises(_core.ApplyError):
            gate.core.apply(json.dumps(copy).encode(), secrets)

    closed = next(n for n, route in enumerate(document["routes"]) if route["name"] == "closed")
    spoil(lambda d: d.update(version=99))
    spoil(lambda d: d.update(extra=1))
    spoil(lambda d: d["routes"][closed].update(extra=1))
    spoil(lambda d: d["routes"][closed]["access"]["authenticated"].update(providers=[]))
    spoil(lambda d: d["routes"][closed]["access"]["authenticated"].update(providers=["nobody"]))
    spoil(lambda d: d["routes"][closed].pop("access"))
    spoil(lambda d: d["routes"][closed].update(listeners=["nobody"]))
    spoil(lambda d: d["routes"][closed]["match"].update(path="no-slash"))
    spoil(lambda d: d["routes"][closed]["action"].update(forward=[{"service": "nobody", "weight": 10000}]))
    spoil(lambda d: d["providers"][0].update(algorithms=["HS256"]))
    spoil(lambda d: d["providers"][0].update(audiences=[]))
    assert gate.get("/closed").reason == "credential_missing"
    assert service.saw_nothing()
