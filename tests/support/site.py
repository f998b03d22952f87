"""A site with a login: a gateway over TLS, a real OpenID provider, a service, and browsers."""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc import jws
from joserfc.jwk import ECKey

from tests.support import configs
from tests.support.browser import Browser
from tests.support.gateway import Config, Gateway
from tests.support.openid_provider import OpenIdProvider
from tests.support.origin import Origin
from tests.support.process import Process

CLIENT_SECRET = "a secret of the client"
CLIENT = "gateway"


@dataclass
class Site:
    """What the fixture `site` starts. `browser()` is another person's browser each time."""

    gateway: Gateway
    provider: OpenIdProvider
    origin: Origin
    config: Config
    tls: ssl.SSLContext
    directory: Path
    browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        started = Browser(self.gateway, self.provider, self.tls)
        self.browsers.append(started)
        return started

    def close(self) -> None:
        for browser in self.browsers:
            browser.close()

    @property
    def base(self) -> str:
        return f"https://localhost:{self.gateway.port}"

    def reload(self, config: Config | None = None, **changes: Any) -> None:
        """Another configuration, on the same port."""
        self.config = configs.deep(config or self.config, **changes)
        self.gateway.reload(self.config)

    def callback(self, name: str = "staff") -> str:
        return f"{self.base}/.yett/{name}/callback"

    def register(self, **metadata: Any) -> None:
        """Tells the provider of the gateway."""
        client = {
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [self.callback()],
            "post_logout_redirect_uris": [f"{self.base}/"],
            "grant_types": ["authorization_code", "refresh_token"],
            "id_token_signed_response_alg": "ES256",
            "backchannel_logout_uri": f"{self.base}/.yett/staff/backchannel-logout",
            "backchannel_logout_session_required": True,
            **metadata,
        }
        self.provider.configure(clients=[client])


class Instance:
    """Another gateway of the same site: behind one name, with the same configuration."""

    def __init__(self, site: Site, gateway: Gateway | Process) -> None:
        self._browser = Browser(gateway, site.provider, site.tls)
        site.browsers.append(self._browser)
        self._host = f"localhost:{site.gateway.port}"
        self._origin = site.base

    def fetch(self, cookies: dict[str, str], path: str = "/app", method: str = "GET") -> httpx.Response:
        self._browser.jar["localhost"] = dict(cookies)
        return self._browser.fetch(path, method, host=self._host, origin=self._origin)

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._browser.cookies)


def session_key(directory: Path, name: str = "session.key") -> dict[str, str]:
    """A new key of sessions, as a secret of a configuration."""
    return {"file": configs.write_secret(directory, name, base64.b64encode(os.urandom(32)))}


def endpoints(provider: OpenIdProvider) -> Config:
    """Where the provider's endpoints are."""
    paths = {"authorization": "auth", "token": "token", "jwks": "jwks", "end_session": "session/end"}
    return {name: f"{provider.issuer}/{path}" for name, path in paths.items()}


def staff(provider: OpenIdProvider, directory: Path, **changes: Any) -> Config:
    """An identity provider of type `oidc`."""
    secret = configs.write_secret(directory, "client.secret", CLIENT_SECRET.encode())
    config: Config = {
        "type": "oidc",
        "issuer": provider.issuer,
        "client": {"id": CLIENT, "secret": {"file": secret}},
        "session": {"keys": [session_key(directory)], **changes.pop("session", {})},
        "scopes": ["openid", "offline_access"],
        "plaintext": "test",
        **changes,
    }
    return config


def start(
    gateway: Callable[..., Gateway],
    provider: OpenIdProvider,
    origin: Origin,
    listener_tls: Config,
    tls: ssl.SSLContext,
    directory: Path,
    config: Config | None = None,
    workers: int = 1,
    metadata: dict[str, Any] | None = None,
    **changes: Any,
) -> Site:
    """`changes` are those of the provider in the configuration; `config` adds to the configuration."""
    whole: Config = {
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}},
        "identity_providers": {"staff": staff(provider, directory, **changes)},
        "services": {"origin": configs.service(origin)},
        "routes": {
            "open": configs.route("/open/{rest...}"),
            "app": configs.route("/app/{rest...}", access="authenticated", authenticate="staff"),
            "page": configs.route("/app", access="authenticated", authenticate="staff"),
        },
        **(config or {}),
    }
    site = Site(gateway(whole, workers), provider, origin, whole, tls, directory)
    site.register(**(metadata or {}))
    return site


def logout_token(
    provider: OpenIdProvider, key: ECKey | None = None, typ: str = "logout+jwt", **claims: Any
) -> str:
    """A logout token (OpenID Connect Back-Channel Logout section 2.4), signed with the provider's key or another one."""
    import time
    import uuid

    now = int(time.time())
    whole: dict[str, Any] = {
        "iss": provider.issuer, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": str(uuid.uuid4()),
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}}, **claims,
    }  # fmt: skip
    signer = key or provider.keys[0]
    header = {"alg": "ES256", "kid": provider.keys[0].kid, "typ": typ}
    content = json.dumps({name: value for name, value in whole.items() if value is not None}).encode()
    return jws.serialize_compact(header, content, signer, algorithms=["ES256"])


def claims_of(token: str) -> dict[str, Any]:
    """Claims of a token, unverified."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
