"""A real OpenID provider: the npm package oidc-provider (OpenID certified), installed once, started by tests.

`tests/support/node/openid_provider/server.mjs` is the program; what is said about its settings there holds here.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).parent / "node" / "openid_provider"
HOME = ROOT / "target" / "node" / "openid_provider"
_FILES = ("package.json", "package-lock.json")


def installed() -> Path:
    """The directory with the program and its packages, at the versions of the lock file (up to a minute).

    Raises:
        RuntimeError: there is no npm, or the installation failed; the message ends with what npm said.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    wanted = "".join((SOURCE / name).read_text() for name in _FILES)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = HOME / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in _FILES:
                shutil.copy(SOURCE / name, HOME / name)
            _npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            stamp.write_text(wanted)
        program = HOME / "server.mjs"
        text = (SOURCE / "server.mjs").read_text()
        if not program.exists() or program.read_text() != text:
            program.write_text(text)
    return HOME


def _npm(arguments: list[str]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("the OpenID provider of the tests needs Node.js 20 or newer with npm")
    done = subprocess.run([npm, *arguments], cwd=HOME, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`npm {' '.join(arguments)}` failed:\n{done.stderr[-2000:]}")


def signing_key(kid: str, kind: str = "EC") -> Key:
    """A private key for the provider's set: `EC` (P-256), `RSA` or `OKP` (Ed25519)."""
    options = {"kid": kid, "use": "sig"}
    if kind == "RSA":
        return RSAKey.generate_key(2048, options)
    if kind == "OKP":
        return OKPKey.generate_key("Ed25519", options)
    return ECKey.generate_key("P-256", options)


class OpenIdProvider:
    """oidc-provider on a free port of this machine; over TLS (`https://localhost:…`) where it gets a certificate.

    Settings, at the start and in `configure`:
        clients: client metadata (RFC 7591); `redirect_uris`, `backchannel_logout_uri`, … as tests need them.
        keys: private JWKs. The first that fits `algorithm` signs, all are published.
        algorithm: that of access tokens, `ES256` by default. Client metadata names that of ID tokens.
        resources: `{identifier: {scope, audience, format, ttl}}` (RFC 8707); format is `jwt` or `opaque`.
        default_resource: the one that tokens are for where none is asked for.
        token_claims: further claims of access tokens.
        acr_values: levels of assurance that it knows; it gives the one that is asked for.
        accounts: `{login: claims}`; any login works.
        ttl: seconds, by kind of token: `AccessToken`, `RefreshToken`, `Session`, …
    """

    def __init__(
        self, tls: dict[str, str] | None = None, authority: Path | None = None, **settings: Any
    ) -> None:
        """`tls`: `certificate`, `key` and optionally `ca` (for client certificates), PEM; `authority`: who is trusted."""
        home = installed()
        self.keys: list[Key] = [signing_key("first")]
        environment = {**os.environ, "NODE_NO_WARNINGS": "1"}
        if authority is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(authority)
        self._process = subprocess.Popen(
            ["node", "server.mjs"], cwd=home, env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=(HOME / "server.log").open("ab"),
        )  # fmt: skip
        start: dict[str, Any] = {"tls": tls, **settings}
        start.setdefault("keys", [key.as_dict(private=True) for key in self.keys])
        try:
            self.issuer: str = self.configure(**start)["issuer"]
        except BaseException:
            self.close()
            raise

    def configure(self, **settings: Any) -> dict[str, Any]:
        """Changes these settings, keeps the others and everything that was issued."""
        return self._ask(settings)

    def publish(self, *keys: Key) -> None:
        """Another key set; the first signs."""
        self.keys = list(keys)
        self.configure(keys=[key.as_dict(private=True) for key in keys])

    def seen(self) -> list[str]:
        """Requests since this was last asked: `GET /jwks`."""
        return list(self._ask({"command": "seen"})["seen"])

    def token(self, client: str, secret: str, resource: str, scope: str = "") -> str:
        """An access token for a client itself (RFC 6749 section 4.4), for a resource (RFC 8707)."""
        form = {
            "grant_type": "client_credentials",
            "resource": resource,
            **({"scope": scope} if scope else {}),
        }
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        request = urllib.request.Request(
            f"{self.issuer}/token",
            urllib.parse.urlencode(form).encode(),
            {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(json.loads(answer.read())["access_token"])
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"the OpenID provider refuses: {error.read().decode()}") from None

    def pause(self) -> None:
        """Accepts connections, and answers nothing."""
        os.kill(self._process.pid, 19)

    def resume(self) -> None:
        """Answers again."""
        os.kill(self._process.pid, 18)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _ask(self, document: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(document) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the OpenID provider ended; see {HOME / 'server.log'}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the OpenID provider refuses its settings: {answer['error']}")
        return answer
