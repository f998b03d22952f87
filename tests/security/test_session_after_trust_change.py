"""Threat: a session from before resumes after the authorities or revocation lists changed, and skips the new check."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import VERSIONS, Authority, configured, shows
from tests.support.wire import Wire


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@VERSIONS
def test_a_session_from_before_does_not_resume_once_the_list_changed(
    gateway, origin, listener_tls, authority, clients, version
):
    file, serial = clients.issue("leaver")
    demand = {"mode": "required", "ca": str(clients.file), "crl": clients.revoke(serial + 1)}
    service = origin()
    config = configured(service, listener_tls, **demand)
    gate = gateway(config)
    context = shows(authority, file, version)

    def ask(session: Any) -> tuple[bool, ssl.SSLSession]:
        raw = Wire(gate.address())
        raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost", session=session)
        with raw:
            assert raw.ask(target="/closed").status == 200
            return raw.socket.session_reused, raw.socket.session

    first, session = ask(None)
    again, session = ask(session)
    assert (first, again) == (False, True), "sessions resume while nothing changes"
    kept = Wire(gate.address(), tls=context, server_name="localhost")
    assert kept.ask(target="/closed").status == 200
    before = len(service.requests)
    config["listeners"]["main"]["tls"]["client_certificates"]["crl"] = clients.revoke(serial)
    gate.reload(config)
    assert kept.closed(5.0), "a connection of the old trust closes"
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        ask(session)
    assert len(service.requests) == before
