"""Threat: a missing, empty or unreadable authority for clients makes the listener trust others, or nobody in particular."""

from __future__ import annotations

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
    assert gate.get("/closed", tls=shows(authority, None)).status == 403, "the old one serves on"
