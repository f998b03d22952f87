"""Threat: a session from before resumes after the authorities or revocation lists changed, and skips the new check."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import VERSIONS, Authority, configured, shows
from tests.support.waiting import eventually
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


def test_watch_sees_a_changed_list_and_a_changed_authority(
    run, origin, listener_tls, authority, clients, tmp_path
):
    """`--watch` takes the files that the configuration names for a part of it."""
    leaver, serial = clients.issue("leaver")
    stayer, _ = clients.issue("stayer")
    demand = {"mode": "required", "ca": str(clients.file), "crl": clients.revoke(serial + 1)}
    service = origin()
    process = run(configured(service, listener_tls, **demand), "--watch")

    def served(file: Path) -> bool:
        try:
            with process.connect(tls=shows(authority, file), server_name="localhost") as wire:
                return wire.ask(target="/closed").status == 200
        except (ssl.SSLError, OSError, AssertionError):
            return False

    assert served(leaver) and served(stayer)
    clients.revoke(serial)
    eventually(lambda: not served(leaver), within=15)
    assert served(stayer)

    others = Authority(tmp_path, "others")
    newcomer, _ = others.issue("newcomer")
    assert not served(newcomer)
    demand["crl"] = str(tmp_path / "clients.crl")
    # Both files at once would be two changes; a list of an authority that is not there covers nobody.
    (tmp_path / "clients.crl").write_bytes(Path(others.revoke(1)).read_bytes())
    clients.file.write_bytes(others.file.read_bytes())
    eventually(lambda: served(newcomer), within=15)
    assert not served(stayer)
