"""Threat: a missing, empty or unreadable authority for clients makes the listener trust others, or nobody in particular."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.support.clients import Authority, configured, shows
from yett import _core
from yett.errors import ConfigurationError


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_authorities_that_are_none_do_not_load(gateway, origin, listener_tls, authority, clients, tmp_path):
    config = configured(origin(), listener_tls, mode="optional", ca=str(clients.file))
    gate = gateway(config)
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for ca in (empty, tmp_path / "missing.pem", clients.issue("leaf")[0].with_name("chain.pem")):
        config["listeners"]["main"]["tls"]["client_certificates"]["ca"] = str(ca)
        with pytest.raises((ConfigurationError, _core.ApplyError)):
            gate.reload(config)
        with pytest.raises((ConfigurationError, _core.ApplyError)):
            gateway(config)
    assert gate.get("/closed", tls=shows(authority, None)).status == 403, "the old one serves on"


def test_what_the_system_trusts_vouches_for_no_client(
    gateway, origin, listener_tls, authority, clients, tmp_path, monkeypatch
):
    others, service = Authority(tmp_path, "others"), origin()
    monkeypatch.setenv("SSL_CERT_FILE", str(others.file))
    gate = gateway(configured(service, listener_tls, mode="optional", ca=str(clients.file)))
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        gate.get("/closed", tls=shows(authority, others.issue("x")[0]))
    assert service.saw_nothing()
    assert gate.get("/closed", tls=shows(authority, clients.issue("x")[0])).status == 200
