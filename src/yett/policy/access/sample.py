"""A request that a route takes: host, path, query and header fields that fit what it matches."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from yett.policy.engine import Question

HOST = "any.test"
TENANT = "acme"
VALUE = "x"
_VARIABLE = re.compile(r"\{([A-Za-z0-9_]+)(\.\.\.)?\}")
WEBSOCKET = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


class Samples:
    """Requests for the routes of one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._tls = {one["name"]: one.get("tls") is not None for one in document["listeners"]}

    def question(
        self,
        route: dict[str, Any],
        method: str,
        tenant: str = TENANT,
        principals: tuple[dict[str, Any], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        listener: str | None = None,
        address: str = "192.0.2.1",
    ) -> Question:
        """A request of this tenant that the route takes, where no other route goes before."""
        match = route["match"]
        listener = listener or route["listeners"][0]
        hosts = match["hosts"] or [HOST]
        host = hosts[0].replace("*.", f"{VALUE}.", 1) if hosts[0].startswith("*.") else hosts[0]
        query = dict(match["query"])
        fields = [*match["headers"].items(), *headers]
        path_tenants = set()
        for rule in route.get("tenants", ()):
            kind, where = next(iter(rule["from"].items()))
            if kind == "path":
                path_tenants.add(where)
            elif kind == "host":
                host = f"{where[0]['before']}{tenant}{where[0]['after']}"
            elif kind == "header":
                fields.append((where, tenant))
            elif kind == "query":
                query[where] = tenant
        path = _VARIABLE.sub(
            lambda found: quote(tenant, safe="") if found[1] in path_tenants else VALUE, match["path"]
        )
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
        scheme = "https" if self._tls.get(listener) else "http"
        if route.get("websocket"):
            fields += [*WEBSOCKET, ("Origin", f"{scheme}://{host}")]
        elif method not in {"GET", "HEAD", "OPTIONS"}:
            # a write with a session has to come from a page of the same host
            fields.append(("Origin", f"{scheme}://{host}"))
        url = f"{scheme}://{host}{path}{'?' + text if text else ''}"
        return Question(method, url, tuple(fields), listener, address, principals=principals)


def methods(route: dict[str, Any]) -> list[str]:
    """The methods that a route takes by name; GET serves HEAD."""
    return list(route["match"]["methods"])
