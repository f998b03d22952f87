"""Certificates that are ordered, against a real authority: the first, renewed, shared, and when the authority fails."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import signal
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.cli.conftest import Running, Yett
from tests.support.certificates import DAY, Made, make
from tests.support.pebble import Pebble
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.wire import Wire

NAME = "api.example.test"


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Callable[..., Pebble]]:
    with contextlib.ExitStack() as stack:

        def start(http_port: int, lifetime_s: int = 86_400) -> Pebble:
            started = Pebble(tmp_path, http_port, lifetime_s)
            stack.callback(started.close)
            return started

        yield start


def document(
    directory: str,
    ca: Path | None,
    http_port: int,
    static: Path | None = None,
    state: str = "state",
    **more: Any,
) -> dict[str, Any]:
    acme = {"directory": directory, "domains": [NAME], "agree_to_terms": True, **more}
    tls: dict[str, Any] = {"acme": acme | ({"ca": str(ca)} if ca else {})}
    if static:
        tls["certificates"] = {"chain": str(static), "key": {"file": str(static)[:-4] + ".key"}}
    route = {
        "match": {"hosts": "any", "path": "/{rest...}", "methods": "GET"},
        "listeners": {"any_of": ["secure", "web"]},
        "access": "public",
        "respond": {"status": 200, "body": "routed"},
    }
    return {
        "version": 1, "access_log": "off", "process": {"drain": "1s"}, "state": {"directory": state},
        "admin": {"address": "127.0.0.1:0"},
        "listeners": {
            "secure": {"address": "127.0.0.1:0", "tls": tls},
            "web": {"address": f"127.0.0.1:{http_port}", "plaintext": "ACME challenges"},
        },
        "routes": {"all": route},
    }  # fmt: skip


def write(directory: Path, config: dict[str, Any], name: str = "gateway.yaml") -> Path:
    file = directory / name
    file.write_text(json.dumps(config))
    return file


def port(running: Running, listener: str = "secure") -> int:
    found = running.wait_for("serving")["listeners"]
    return int(next(one["address"] for one in found if one["name"] == listener).rpartition(":")[2])


def served(running: Running, trusted: str, name: str = NAME) -> x509.Certificate:
    """The certificate that a client who trusts `trusted` gets for the name, once its request was answered."""
    context = ssl.create_default_context(cadata=trusted)
    with Wire(("127.0.0.1", port(running)), tls=context, server_name=name) as wire:
        assert wire.ask("GET", "/hello", host=name).body == b"routed"
        return x509.load_der_x509_certificate(wire.socket.getpeercert(binary_form=True))


def stored_file(state: Path, directory: str) -> Path:
    return (
        state / "acme" / "certificates" / f"secure-{hashlib.sha256(directory.encode()).hexdigest()[:12]}.pem"
    )


def store(state: Path, directory: str, made: Made) -> Path:
    file = stored_file(state, directory)
    file.parent.mkdir(parents=True, mode=0o700)
    (state / "acme").chmod(0o700)
    file.write_text(made.key_pem + made.pem)
    return file


def metrics(yett: Yett, file: Path) -> str:
    admin = json.loads(yett("status", file, "--format", "json").stdout)["gateway"]["admin"]["address"]
    with Wire(("127.0.0.1", int(admin.rpartition(":")[2]))) as wire:
        return wire.ask("GET", "/metrics", host=admin).body.decode()


def issued(running: Running, count: int = 1) -> None:
    eventually(
        lambda: len(running.events("acme_issued")) >= count, 40, f"an order; log: {''.join(running.lines)}"
    )


def files(state: Path) -> dict[str, int]:
    return {
        str(path.relative_to(state)): stat.S_IMODE(path.stat().st_mode)
        for path in sorted(state.rglob("*"))
        if path.is_file()
    }


def test_the_first_order_its_renewal_and_a_restart(
    run: Callable[..., Running], pebble: Callable[..., Pebble], yett: Yett, tmp_path: Path
) -> None:
    http = free_port()
    authority = pebble(http, lifetime_s=12)
    static = make("static", names=["static.example.test"])
    (tmp_path / "static.pem").write_text(static.pem)
    (tmp_path / "static.key").write_text(static.key_pem)
    file = write(tmp_path, document(authority.url, authority.ca, http, tmp_path / "static.pem"))
    running = run(file)
    # until it is issued, that name is refused, and the others are served
    with pytest.raises(ssl.SSLError), contextlib.closing(connect(running, NAME)):
        pass
    assert (
        served(running, static.pem, "static.example.test").serial_number == static.certificate.serial_number
    )
    assert running.wait_for("tls_handshake_failed")["cause"] == "no_certificate"
    assert "has no certificate for `api.example.test` yet" in running.wait_for("certificate")["what"]

    issued(running)
    eventually(lambda: [one for one in running.events("configuration_applied") if one["cause"] == "acme"])
    root = authority.root()
    first = served(running, root)
    assert (authority.orders, authority.accounts) == (1, 1)
    state = tmp_path / "state"
    assert set(files(state).values()) == {0o600}
    assert not [name for name in files(state) if "challenges" in name or name.endswith(".retry")]
    assert stat.S_IMODE((state / "acme").stat().st_mode) == 0o700

    issued(running, 2)
    eventually(
        lambda: quietly(lambda: served(running, root).serial_number) not in {None, first.serial_number}
    )
    assert (authority.orders, authority.accounts) == (2, 1)
    said = metrics(yett, file)
    assert "yett_acme_orders_total 2\n" in said
    assert "yett_acme_order_failures_total 0\n" in said
    # Pebble asks from three places at once
    assert "yett_acme_challenges_answered_total 6\n" in said
    assert 'yett_tls_handshake_failures_total{cause="no_certificate"} 1\n' in said
    assert 'yett_certificate_expiry_seconds{use="listener",owner="secure"' in said
    assert "PRIVATE" not in "".join(running.lines) + said


def connect(running: Running, name: str) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port(running)), 5)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def test_a_restart_orders_nothing(
    run: Callable[..., Running], pebble: Callable[..., Pebble], yett: Yett, tmp_path: Path
) -> None:
    http = free_port()
    authority = pebble(http)
    config = document(authority.url, authority.ca, http, contact="mailto:ops@example.test")
    # a listener that only redirects answers the authority as well
    config["listeners"]["web"] = {"address": f"127.0.0.1:{http}", "redirect": {"port": 443}}
    route = config["routes"]["all"]
    route["listeners"], route["match"]["hosts"] = "secure", {"any_of": [NAME, "more.example.test"]}
    file = write(tmp_path, config)
    pending = yett("certs", "list", file)
    assert pending.returncode == 1
    assert "pending" in pending.stdout
    assert "`api.example.test`" in yett("certs", "check", file).stdout
    first = run(file)
    issued(first)
    first.process.terminate()
    assert first.end() == 0
    root = authority.root()
    second = run(file)
    # from the first moment, without the authority
    serial = served(second, root).serial_number
    assert (authority.orders, authority.accounts) == (1, 1)
    assert not second.events("acme_ordering")
    listed = json.loads(yett("certs", "list", file, "--within", "0", "--format", "json").stdout)
    assert f"{serial:x}" in [one["serial"] for one in listed["certificates"] if one["use"] == "listener"]
    assert listed["pending"] == []
    # a name more: the old certificate serves on meanwhile, and the account is the same
    config["listeners"]["secure"]["tls"]["acme"]["domains"] = [NAME, "more.example.test"]
    write(tmp_path, config)
    assert yett("reload", file).returncode == 0
    assert served(second, root).serial_number == serial
    issued(second)
    assert eventually(lambda: quietly(lambda: served(second, root, "more.example.test")))
    assert (authority.orders, authority.accounts) == (2, 1)


def quietly(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OSError:
        return None


def test_an_authority_that_fails_leaves_the_old_one_serving(
    run: Callable[..., Running], yett: Yett, tmp_path: Path
) -> None:
    directory = f"https://127.0.0.1:{free_port()}/dir"
    old = make("old", names=[NAME], after=-20 * DAY, until=DAY)
    state = tmp_path / "state"
    store(state, directory, old)
    file = write(tmp_path, document(directory, None, free_port()))
    running = run(file)
    failed = eventually(lambda: running.events("acme_failed"), 40)[0]
    assert failed["failures"] == 1
    assert 40 <= failed["again_in_s"] <= 80
    assert "cannot be reached" in failed["problem"]
    assert served(running, old.pem).serial_number == old.certificate.serial_number
    assert "ends in 0 days" in "".join(one["what"] for one in running.events("certificate"))
    assert "yett_acme_order_failures_total 1\n" in metrics(yett, file)
    running.process.terminate()
    assert running.end() == 0
    # who restarts does not try again before its time: it takes the lock, sees what failed, and leaves it
    lock = state / "acme" / "lock"
    lock.unlink()
    again = run(file)
    eventually(lock.exists)
    assert served(again, old.pem).serial_number == old.certificate.serial_number
    retry = json.loads(stored_file(state, directory).with_suffix(".retry").read_text())
    assert retry["failures"] == 1
    again.process.terminate()
    assert again.end() == 0
    assert not again.events("acme_ordering")


def test_a_proof_that_is_not_accepted_says_why(
    run: Callable[..., Running], pebble: Callable[..., Pebble], tmp_path: Path
) -> None:
    # the authority asks where nobody answers
    authority = pebble(free_port())
    running = run(write(tmp_path, document(authority.url, authority.ca, free_port())))
    failed = eventually(lambda: running.events("acme_failed"), 40)[0]
    assert "did not accept the proof: api.example.test:" in failed["problem"]
    with pytest.raises(ssl.SSLError):
        connect(running, NAME)
    assert not [name for name in files(tmp_path / "state") if "challenges" in name]
    assert not stored_file(tmp_path / "state", authority.url).exists()


def test_two_instances_order_once_and_answer_for_each_other(
    run: Callable[..., Running], pebble: Callable[..., Pebble], tmp_path: Path
) -> None:
    http = free_port()
    authority = pebble(http)
    one = write(tmp_path, document(authority.url, authority.ca, http), "one.yaml")
    two = write(tmp_path, document(authority.url, authority.ca, free_port()), "two.yaml")
    acme = tmp_path / "state" / "acme"
    acme.mkdir(parents=True, mode=0o700)
    with (acme / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = [run(two), run(one)]
        assert authority.orders == 0
    root = authority.root()
    serials = {
        eventually(lambda gate=gate: quietly(lambda: served(gate, root)), 40).serial_number
        for gate in running
    }
    assert len(serials) == 1
    assert (authority.orders, authority.accounts) == (1, 1)
    assert sum(len(gate.events("acme_issued")) for gate in running) == 1


def test_what_another_instance_renewed_is_picked_up(run: Callable[..., Running], tmp_path: Path) -> None:
    directory = f"https://127.0.0.1:{free_port()}/dir"
    first, second, third = (make(name, names=[NAME]) for name in ("first", "second", "third"))
    stored = store(tmp_path / "state", directory, first)
    config = document(directory, None, free_port())
    running = run(write(tmp_path, config))
    assert served(running, first.pem)

    def renew(made: Made) -> None:
        (tmp_path / "new.pem").write_text(made.key_pem + made.pem)
        (tmp_path / "new.pem").replace(stored)

    renew(second)
    assert eventually(lambda: quietly(lambda: served(running, second.pem)))
    # while what is on disk does not load, the certificate waits and the old one serves
    write(tmp_path, config | {"routes": {}})
    renew(third)
    running.wait_for("acme_certificate_waits")
    assert served(running, second.pem)
    # it comes with the next reload; what is damaged meanwhile is ordered anew, and does not take its place
    write(tmp_path, config)
    running.signal(signal.SIGHUP)
    assert eventually(lambda: quietly(lambda: served(running, third.pem)))
    assert not running.events("acme_ordering")
    stored.write_text("noise")
    eventually(lambda: running.events("acme_failed"), 40)
    assert served(running, third.pem)


def test_only_known_challenges_are_answered_and_only_in_plain(
    gateway: Callable[..., Any], origin: Callable[..., Any], tmp_path: Path
) -> None:
    service = origin()
    static = make("static", names=["localhost"])
    (tmp_path / "static.pem").write_text(static.pem)
    (tmp_path / "static.key").write_text(static.key_pem)
    config = document(
        "https://authority.invalid/dir", None, 0, tmp_path / "static.pem", str(tmp_path / "state")
    )
    route = config["routes"]["all"]
    del route["respond"]
    route["service"] = "origin"
    route["match"]["methods"] = {"any_of": ["GET", "POST"]}
    config["services"] = {"origin": {"endpoints": service.url, "plaintext": "test"}}
    gate = gateway(config)
    path = "/.well-known/acme-challenge/to-ken_1"
    assert gate.get(path, listener="web").status == 200
    assert len(service.requests) == 1, "nothing is open: routed as ever"
    gate.core.set_challenges(b'{"to-ken_1": "to-ken_1.print"}')
    answer = gate.get(path, listener="web", host="whatever.test")
    assert (answer.status, answer.body) == (200, b"to-ken_1.print")
    assert gate.metric("yett_acme_challenges_answered_total") == 1
    assert len(service.requests) == 1
    tls = ssl.create_default_context(cadata=static.pem)
    assert (
        gate.get(path, listener="secure", tls=tls, server_name="localhost", host="localhost").body
        != answer.body
    )
    for other in (path + "x", path[:-1], path + "/", "/.well-known/acme-challenge/"):
        gate.get(other, listener="web")
    assert gate.post(path, listener="web").body != answer.body
    assert len(service.requests) == 7
    assert gate.metric("yett_acme_challenges_answered_total") == 1
    with pytest.raises(ValueError):
        gate.core.set_challenges(b'{"a/b": "c"}')
