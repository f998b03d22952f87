"""An endpoint that is the admin address, our own listener or a metadata address is not connected to."""

from __future__ import annotations

import pytest

from tests.support import configs


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "http://169.254.169.254:8080",
        "http://[fe80::1]:80",
        "http://169.254.1.1",
        "http://[::ffff:169.254.169.254]:80",
        "http://[fd00:ec2::254]:80",
        "http://0.0.0.0:80",
        "http://[::]:80",
        "http://100.100.100.200",
        "http://168.63.129.16",
        "http://192.0.0.192",
        "http://[fd20:ce::254]:80",
        "http://[64:ff9b::a9fe:a9fe]:80",
        "http://[64:ff9b:1::a9fe:a9fe]:80",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://169.16689662",
        "http://metadata.google.internal",
        "http://224.0.0.1:80",
        "http://255.255.255.255:80",
    ],
)
def test_addresses_that_no_service_has(gateway, origin, url):
    config = configs.public(origin())
    config["services"]["origin"]["endpoints"] = url
    config["routes"]["open"]["timeouts"] = {"connect": "1s"}
    try:
        gate = gateway(config)
    except Exception as error:
        assert not isinstance(error, KeyError | TypeError | AttributeError), error
        return
    answer = gate.get("/a")
    assert answer.status == 502
    assert answer.reason in ("service_address_forbidden", "service_unreachable")
    if answer.reason == "service_unreachable":
        assert "google" in url, "the address was tried"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_our_own_listener_is_no_service(gateway, origin, host):
    """A request that comes back to us would pass with the gateway's own address, and for ever."""
    service = origin()
    gate = gateway(configs.public(service))
    config = configs.public(service)
    config["services"]["origin"]["endpoints"] = f"http://{host}:{gate.port}"
    config["listeners"] = {"main": {"address": f"127.0.0.1:{gate.port}", "plaintext": "test"}}
    gate.stop()
    try:
        again = gateway(config)
    except Exception as error:
        assert not isinstance(error, KeyError | TypeError | AttributeError), error
        return
    answer = again.get("/a")
    assert (answer.status, answer.reason) == (502, "service_address_forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_admin_listener_is_no_service(gateway, origin, host):
    service = origin()
    gate = gateway(configs.public(service))
    _, _, port = gate.status()["admin"]["address"].rpartition(":")
    config = configs.public(service)
    config["admin"] = {"address": f"127.0.0.1:{port}"}
    config["services"]["origin"]["endpoints"] = f"http://{host}:{port}"
    gate.stop()
    try:
        again = gateway(config)
    except Exception as error:
        assert not isinstance(error, KeyError | TypeError | AttributeError), error
        return
    answer = again.get("/metrics")
    assert (answer.status, answer.reason) == (502, "service_address_forbidden")
    assert "yett_" not in answer.body.decode()


def test_a_free_port_that_became_our_own_is_found_at_run_time(gateway, origin):
    """With port 0 the address is known only after the bind."""
    service = origin()
    gate = gateway(configs.public(service))
    config = configs.public(service)
    config["services"]["origin"]["endpoints"] = f"http://127.0.0.1:{gate.port}"
    try:
        gate.reload(config)
    except Exception as error:
        assert not isinstance(error, KeyError | TypeError | AttributeError), error
        return
    answer = gate.get("/a")
    assert (answer.status, answer.reason) == (502, "service_address_forbidden")
