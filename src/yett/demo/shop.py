"""Where the shop is, which ports it has, and what it keeps between runs."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yett
from yett.config.identity import key_set, read_keys
from yett.control import assertion_keys, keys
from yett.demo import DemoError

# As in examples/shop/gateway.yaml.
PORTS = {
    "gateway": 8443, "admin": 9901, "identity": 9100, "orders": 9101, "billing": 9102, "customers": 9103, "accounts": 9104,
}  # fmt: skip
SERVICES = ("orders", "billing", "customers", "accounts")
PEOPLE = tuple(
    f"{name}@example.com" for name in ("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon")
)
"""Who can log in; each has a password of its own in `people.json`."""
CLIENTS: dict[str, dict[str, Any]] = {
    "mobile": {
        "tenant": "acme",
        "roles": [],
        "scopes": ["profile.read", "orders.read", "orders.write", "billing.read"],
    },
    "accountant": {"tenant": "acme", "roles": ["accountant"], "scopes": ["billing.read", "orders.read"]},
    "globex": {
        "tenant": "globex",
        "roles": ["accountant"],
        "scopes": ["billing.read", "orders.read", "profile.read"],
    },
    "bookkeeper": {
        "tenant": "acme",
        "roles": ["employee", "accountant"],
        "scopes": ["billing.read", "billing.write", "orders.read"],
        "claims": {
            "region": "eu",
            "plan": "gold",
            "clearance": "confidential",
            "device_posture": "compliant",
        },
    },
    "admin": {
        "tenant": "acme",
        "roles": ["admin"],
        "scopes": ["orders.read"],
        "claims": {"region": "eu", "plan": "basic", "clearance": "internal", "device_posture": "rooted"},
    },
    "admin-us": {
        "tenant": "acme",
        "roles": ["admin"],
        "scopes": ["orders.read"],
        "claims": {"region": "us"},
    },
}


@dataclass(frozen=True)
class Shop:
    """One instance of the demo."""

    directory: Path
    state: Path
    ports: dict[str, int]

    @property
    def url(self) -> str:
        """The gateway."""
        return f"https://localhost:{self.ports['gateway']}"

    @property
    def issuer(self) -> str:
        """The token endpoint's name in tokens."""
        return f"http://127.0.0.1:{self.ports['identity']}"

    @property
    def key(self) -> str:
        """The partner's API key."""
        return (self.state / "partner.key").read_text(encoding="utf-8").strip()

    def passwords(self) -> dict[str, str]:
        """Of the people who can log in, by their addresses."""
        return dict(json.loads((self.state / "people.json").read_text(encoding="utf-8")))

    def client_secret(self, name: str) -> str:
        """The secret of a client of the token endpoint."""
        return str(json.loads((self.state / "clients.json").read_text(encoding="utf-8"))[name]["secret"])

    def configuration(self) -> Path:
        """The gateway's configuration: the file itself, or a copy with this instance's ports and state."""
        original = self.directory / "gateway.yaml"
        if self.ports == PORTS and self.state == self.directory / ".state":
            return original
        text = original.read_text(encoding="utf-8")
        # in two steps, so that a new port that is another one's old port is not replaced again
        for name, port in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:<{name}>")
        for name, port in self.ports.items():
            text = text.replace(f"127.0.0.1:<{name}>", f"127.0.0.1:{port}")
        text = text.replace(" .state/", f" {self.state}/")
        text = text.replace("tests: shop", f"tests: {self.directory}/shop")
        text = text.replace("openapi: openapi/", f"openapi: {self.directory}/openapi/")
        copy = self.state / "gateway.yaml"
        copy.write_text(text, encoding="utf-8")
        return copy

    def prepare(self) -> None:
        """Makes what is missing: certificates, the clients' secrets, the partner's key."""
        from yett.demo.certificates import ensure_certificates

        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        ensure_certificates(self.state, SERVICES)
        clients = self.state / "clients.json"
        known_clients = json.loads(clients.read_text(encoding="utf-8")) if clients.exists() else {}
        if set(known_clients) != set(CLIENTS):
            made = {name: {**known, "secret": secrets.token_urlsafe(32)} for name, known in CLIENTS.items()}
            write_private(clients, json.dumps(made, indent=2) + "\n")
        people = self.state / "people.json"
        if not people.exists():
            write_private(
                people, json.dumps({name: secrets.token_urlsafe(12) for name in PEOPLE}, indent=2) + "\n"
            )
        # What one of them sends to log in, for a line of curl.
        sent = {"email": PEOPLE[0], "password": self.passwords()[PEOPLE[0]]}
        write_private(self.state / "login.json", json.dumps(sent) + "\n")
        signing = self.state / "identity.keys.pem"
        if not signing.exists():
            assertion_keys.create(signing, "EdDSA")
        public = key_set(read_keys(signing.read_bytes()))
        (self.state / "identity.jwks.json").write_text(public, encoding="utf-8")
        partner, hashes = self.state / "partner.key", self.state / "partners.keys.yaml"
        if not partner.exists() or not hashes.exists():
            hashes.unlink(missing_ok=True)
            key = keys.create(
                hashes,
                keys.NewKey(name="partner", scopes=["orders.read"], tenant="acme", partner="north-wind"),
            )
            write_private(partner, key + "\n")


def find_directory(given: Path | None) -> Path:
    """The directory of the shop.

    Raises:
        DemoError: it is not where it is in a checkout, or not where the person said.
    """
    candidates = (
        [given] if given else [Path(yett.__file__).parents[2] / "examples" / "shop", Path("examples/shop")]
    )
    for candidate in candidates:
        if (candidate / "gateway.yaml").is_file() and (candidate / "orders.py").is_file():
            return candidate.resolve()
    raise DemoError(
        f"the shop is not in `{candidates[0]}`; it is part of the repository, not of the installed package: "
        "run this in a checkout, or give --directory"
    )


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports() -> dict[str, int]:
    """A free port for each part."""
    held = {name: socket.socket() for name in PORTS}
    try:
        for one in held.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in held.items()}
    finally:
        for one in held.values():
            one.close()


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
