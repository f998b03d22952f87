"""Where a description says that its API is: the service behind the gateway, the host that clients name, the path before all paths."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from yett.config import template
from yett.config.match import host_fault
from yett.config.validation.translate import Faulty
from yett.config.words import Location, listed
from yett.policy.emit import plain

_VARIABLE = re.compile(r"\{([^{}]*)\}")
UNSAID = "service.invalid"
HOST = "api.invalid"


@dataclass(frozen=True)
class Server:
    """A service, and what of requests leads to it. `base` is empty or begins with `/`."""

    endpoint: str
    host: str
    base: str
    notes: tuple[str, ...]

    @property
    def plaintext(self) -> bool:
        """Whether it is reached without TLS."""
        return self.endpoint.startswith("http://")


class Servers:
    """Reads lists of servers. `wanted` is the URL of the one to take, as it is written; otherwise the first one. `service` is
    where the API of the whole description is, behind the gateway; `host` what clients name."""

    def __init__(
        self, wanted: str | None = None, host: str | None = None, service: str | None = None
    ) -> None:
        self.wanted, self.host, self.service = wanted, host, service
        self.known: dict[str, None] = {}
        """URLs that were seen, as they are written."""

    def read(self, servers: Any, at: Location) -> Server:
        """The server to take.

        Raises:
            Faulty: it is none that requests could be forwarded to.
        """
        whole = len(at) <= 1
        if servers is None or servers == []:
            return self._server("/", (), whole)
        if not isinstance(servers, list):
            raise Faulty(at, "`servers` is a list, such as `[{url: https://api.example.com/v1}]`")
        urls = [self._url(one, (*at, index)) for index, one in enumerate(servers)]
        self.known.update(dict.fromkeys(urls))
        index = urls.index(self.wanted) if self.wanted in urls else 0
        here: Location = (*at, index)
        said, notes = self._filled(servers[index], urls[index], here)
        others = [url for url in urls if url != urls[index]]
        if others:
            notes.append(
                f"the description names {listed(map(plain, others))} as well; `--server` takes another one"
            )
        try:
            return self._server(said, tuple(notes), whole)
        except Faulty as fault:
            raise Faulty((*here, "url"), fault.message) from None

    @staticmethod
    def _url(one: Any, at: Location) -> str:
        url = one.get("url") if isinstance(one, dict) else None
        if not isinstance(url, str) or not url:
            raise Faulty(at, "a server has a `url`")
        return url

    @staticmethod
    def _filled(one: dict[str, Any], url: str, at: Location) -> tuple[str, list[str]]:
        """A URL with the defaults of its variables."""
        variables = one.get("variables") or {}
        notes: list[str] = []

        def default(found: re.Match[str]) -> str:
            variable = variables.get(found[1]) if isinstance(variables, dict) else None
            value = variable.get("default") if isinstance(variable, dict) else None
            if not isinstance(value, str):
                raise Faulty((*at, "url"), f"the variable `{found[1]}` needs a `default` among `variables`")
            notes.append(f"`{plain(found[1])}` of the server is `{plain(value)}`, its default")
            return value

        return _VARIABLE.sub(default, url), notes

    def _server(self, url: str, notes: tuple[str, ...], whole: bool) -> Server:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Faulty(
                (), f"`{url}` is not an address; write one such as `https://api.example.com`"
            ) from None
        if parts.scheme not in {"https", "http", ""} or (parts.scheme and not parts.hostname):
            raise Faulty((), f"`{url}` is not reached over HTTP; name an `https://` address")
        if parts.username is not None:
            raise Faulty((), "a server carries no user or password; remove them")
        if parts.query or parts.fragment or "\\" in url or "{" in url:
            raise Faulty((), f"`{url}` has more than a host and a path; remove the rest")
        base = parts.path.rstrip("/")
        fault = template.read(base) if base else None
        if isinstance(fault, str):
            raise Faulty((), fault)
        name = (parts.hostname or "").lower()
        if whole and self.service is not None:
            host = self.host or (self._host(name) if name else HOST)
            return Server(self.service.rstrip("/"), host, base, notes)
        if not name:
            todo = f"TODO: the description does not say where the service is; write its address in place of `{UNSAID}`"
            return Server(f"https://{UNSAID}", self.host or HOST, base, (*notes, todo))
        shown = f"[{name}]" if ":" in name else name
        endpoint = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
        return Server(endpoint, self.host or self._host(name), base, notes)

    @staticmethod
    def _host(name: str) -> str:
        fault = host_fault(name)
        if fault or name.startswith("*") or (":" in name):
            raise Faulty(
                (), f"clients cannot name `{name}` as a host of a route; say with `--host` what they do name"
            )
        return name


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint is on this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
