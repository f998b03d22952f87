"""`yett certs rehearse`: every case on scratch listeners, a surprise where one is real, nothing else touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from tests.cli.conftest import Yett
from tests.support.certificates import DAY, Made, make
from yett.config import compile_file
from yett.control.rehearse import authority, rehearse


@pytest.fixture(scope="module")
def root() -> Made:
    return make("root", authority=True)


def write(
    directory: Path, leaf: Made, address: str, clients: dict[str, Any] | None = None, tls: bool = True
) -> Path:
    (directory / "edge.pem").write_text(leaf.pem)
    (directory / "edge.key").write_text(leaf.key_pem)
    pair = {"chain": "edge.pem", "key": {"file": "edge.key"}}
    listener: dict[str, Any] = {"address": address}
    if tls:
        listener["tls"] = {"certificates": [pair], **({"client_certificates": clients} if clients else {})}
    else:
        listener["plaintext"] = "test"
    route = {
        "match": {"hosts": "any", "path": "/", "methods": "GET"}, "access": "public", "service": "origin",
        **({"client_certificate": "required"} if clients else {}),
    }  # fmt: skip
    # nobody listens there, and nobody has to
    services = {"origin": {"endpoints": "https://192.0.2.1:9"}}
    document = {"version": 1, "listeners": {"public": listener}, "services": services, "routes": {"a": route}}
    file = directory / "gateway.yaml"
    file.write_text(json.dumps(document))
    return file


def with_clients(directory: Path, mode: str, until: timedelta = DAY) -> dict[str, Any]:
    made = authority.Authority("clients", datetime.now(UTC))
    (directory / "clients.pem").write_text(made.pem)
    (directory / "clients.crl").write_text(made.revoke(7, until=until))
    return {"mode": mode, "ca": "clients.pem", "crl": "clients.crl"}


def test_every_case_goes_as_expected_beside_whatever_runs(yett: Yett, tmp_path: Path, root: Made) -> None:
    leaf = make("edge", by=root, names=["*.shop.test"], until=20 * DAY)
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = write(tmp_path, leaf, address, with_clients(tmp_path, "required"))
        done = yett("certs", "rehearse", file, "--format", "json")
        taken.settimeout(0)
        with pytest.raises(BlockingIOError):
            taken.accept()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["ok"]
    assert "rehearsal authority" in found["substituted"]
    assert {one["owner"]: one["days_left"] for one in found["ending"] if one["use"] == "listener"} == {
        "public": 19
    }
    happened = {one["case"]: one["happened"] for one in found["cases"]}
    assert happened == {
        "our certificate for rehearsal.shop.test: as configured": "served",
        "our certificate: rehearsal chain in its place": "served",
        "our certificate: expired": "the client refuses: expired",
        "our certificate: not yet valid": "the client refuses: not yet valid",
        "our certificate: wrong name": "the client refuses: wrong name",
        "our certificate: intermediate missing": "the client refuses: unknown issuer",
        "our certificate: chain in the wrong order": "does not load",
        "our certificate: intermediate expired": "does not load",
        "our certificate: key of another certificate": "does not load",
        "client certificate: of a stranger, everything as configured": "the gateway refuses: client_certificate_unknown_ca",
        "revocation lists: as configured": "in date",
        "client certificate: good": "served",
        "client certificate: none": "the gateway refuses: no_client_certificate",
        "client certificate: expired": "the gateway refuses: client_certificate_expired",
        "client certificate: not yet valid": "the gateway refuses: client_certificate_not_yet_valid",
        "client certificate: of another authority": "the gateway refuses: client_certificate_unknown_ca",
        "client certificate: for servers only": "the gateway refuses: client_certificate_purpose",
        "client certificate: revoked": "the gateway refuses: client_certificate_revoked",
        "client certificate: good, revocation list out of date": "the gateway refuses: revocation_list_expired",
        "rollover, old authority: the old certificate": "served",
        "rollover, old authority: the new certificate": "the gateway refuses: client_certificate_unknown_ca",
        "rollover, old and new, no list of the new: a connection of the old certificate from before": "closes politely",
        "rollover, old and new, no list of the new: the old certificate": "served",
        "rollover, old and new, no list of the new: the new certificate": "the gateway refuses: client_certificate_unlisted",
        "rollover, old and new: a connection of the old certificate from before": "closes politely",
        "rollover, old and new: the old certificate": "served",
        "rollover, old and new: the new certificate": "served",
        "rollover, new only: a connection of the old certificate from before": "closes politely",
        "rollover, new only: the old certificate": "the gateway refuses: client_certificate_unknown_ca",
        "rollover, new only: the new certificate": "served",
    }


def test_a_listener_that_only_asks_refuses_on_the_route(yett: Yett, tmp_path: Path, root: Made) -> None:
    leaf = make("edge", by=root, names=["localhost"])
    done = yett(
        "certs", "rehearse", write(tmp_path, leaf, "127.0.0.1:8443", with_clients(tmp_path, "optional"))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "listener public: 1 of 1 routes require a client certificate themselves" in done.stdout
    assert "answered 403 client_certificate_required" in done.stdout
    assert "none, another route" in done.stdout
    assert "0 surprises" in done.stdout


@pytest.mark.parametrize("fault", ["expired", "unnamed", "old_list"])
def test_what_is_wrong_today_is_a_surprise(yett: Yett, tmp_path: Path, root: Made, fault: str) -> None:
    options: dict[str, Any] = {"names": [] if fault == "unnamed" else ["localhost"]}
    if fault == "expired":
        options |= {"after": -2 * DAY, "until": -DAY}
    leaf = make("edge", by=root, **options)
    clients = with_clients(tmp_path, "required", -DAY) if fault == "old_list" else None
    done = yett("certs", "rehearse", write(tmp_path, leaf, "127.0.0.1:8443", clients))
    assert done.returncode == 1, done.stdout + done.stderr
    surprises = [line for line in done.stdout.splitlines() if "SURPRISE" in line]
    assert len(surprises) == 1
    said = {
        "expired": "refuses: expired; expected: served", "unnamed": "refuses: wrong name; expected: served",
        "old_list": "out of date (until",
    }  # fmt: skip
    assert said[fault] in surprises[0]
    assert "PRIVATE" not in done.stdout


def test_a_gateway_that_lets_too_much_through_is_a_surprise(
    tmp_path: Path, root: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lists are made without their entries, as if the gateway did not look at them."""
    leaf = make("edge", by=root, names=["localhost"])
    compiled = compile_file(write(tmp_path, leaf, "127.0.0.1:8443", with_clients(tmp_path, "required")))
    honest = authority.Authority.revoke
    monkeypatch.setattr(authority.Authority, "revoke", lambda self, *_, **options: honest(self, **options))
    surprises = [one for one in rehearse(compiled, 3.0) if not one.ok]
    assert [(one.case, one.happened) for one in surprises] == [("client certificate: revoked", "served")]


def test_a_certificate_that_is_still_to_come(yett: Yett) -> None:
    done = yett("certs", "rehearse", Path(__file__).parents[2] / "examples" / "acme.yaml", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    happened = {one["case"]: one["happened"] for one in json.loads(done.stdout)["cases"]}
    case = "our certificate for api.example.com: still to come (ACME)"
    assert happened[case] == "the gateway refuses: no_certificate"


def test_usage_and_configuration_errors(yett: Yett, tmp_path: Path, root: Made) -> None:
    leaf = make("edge", by=root, names=["localhost"])
    plain = write(tmp_path, leaf, "127.0.0.1:8080", tls=False)
    done = yett("certs", "rehearse", plain)
    assert done.returncode == 0
    assert "nothing to rehearse" in done.stdout
    assert yett("certs", "rehearse", plain, "--within", "soon").returncode == 2
    assert yett("certs", "rehearse").returncode == 2
    file = write(tmp_path, leaf, "127.0.0.1:8443")
    (tmp_path / "edge.pem").unlink()
    done = yett("certs", "rehearse", file)
    assert done.returncode == 1
    assert "gateway.yaml:1:" in done.stderr
