"""A browser without pages: keeps cookies as browsers do, says what they say, and follows a redirect when it is told to."""

from __future__ import annotations

import re
import ssl
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from tests.support.gateway import Gateway
from tests.support.openid_provider import OpenIdProvider
from tests.support.process import Process

PAGE = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "sec-fetch-site": "none",
}
FETCH = {
    "accept": "*/*", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "sec-fetch-site": "same-origin",
}  # fmt: skip


class Browser:
    """One browser. `jar` holds cookies by origin and name; a test may look into it and change it."""

    def __init__(self, gateway: Gateway | Process, provider: OpenIdProvider, tls: ssl.SSLContext) -> None:
        self.base = f"https://localhost:{gateway.port}"
        self.provider = provider
        self.jar: dict[str, dict[str, str]] = {}
        self._http = httpx.Client(verify=tls, timeout=15, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    @property
    def cookies(self) -> dict[str, str]:
        """Those of the gateway."""
        return self.jar.setdefault("localhost", {})

    def send(
        self, method: str, url: str, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """One request, with the cookies of its host, of which it keeps what the answer sets."""
        url = urljoin(self.base, url)
        host = urlsplit(url).hostname or ""
        jar = self.jar.setdefault(host, {})
        fields = dict(headers or {})
        if jar and "cookie" not in fields:
            fields["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        answer = self._http.request(method, url, headers=fields, **more)
        self._http.cookies.clear()
        for field in answer.headers.get_list("set-cookie"):
            pair, _, attributes = field.partition(";")
            name, _, value = pair.partition("=")
            if name.startswith("__Host-"):
                # Pages read the token of a session, and nothing else.
                wanted = "samesite=strict" if name.endswith("~csrf") and value else "httponly"
                said = set(attributes.lower().replace(" ", "").split(";"))
                assert {"path=/", "secure", wanted} <= said, field
                assert "domain" not in attributes.lower(), field
            gone = re.search(r"max-age=0|expires=Thu, 01 Jan 1970", attributes, re.IGNORECASE)
            jar.pop(name, None)
            if not gone:
                jar[name] = value
        return answer

    def page(self, url: str, **headers: str) -> httpx.Response:
        """As if a person typed the address."""
        return self.send("GET", url, {**PAGE, **headers})

    def fetch(self, url: str, method: str = "GET", **headers: str) -> httpx.Response:
        """As a script on a page of the gateway's host."""
        own = {"origin": self.base} if method not in {"GET", "HEAD"} else {}
        return self.send(method, url, {**FETCH, **own, **headers})

    def submit(
        self, url: str, origin: str | None = None, site: str = "same-origin", **form: str
    ) -> httpx.Response:
        """A form on a page, of the gateway's host unless another `origin` and `site` are given."""
        headers = {**PAGE, "origin": origin or self.base, "sec-fetch-site": site}
        return self.send("POST", url, headers, data=form)

    def at_provider(self, location: str, who: str = "ann") -> str:
        """Goes through the provider's login, and says where it sends the browser then."""
        answer = self.page(location, **{"sec-fetch-site": "cross-site"})
        for _ in range(8):
            if answer.status_code == 200 and b'name="login"' in answer.content:
                answer = self.send("POST", str(answer.url), PAGE, data={"login": who})
                continue
            assert answer.status_code in {302, 303}, (answer.status_code, answer.text)
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(self.base):
                return target
            answer = self.page(target)
        raise AssertionError("the provider never comes to an end")

    def login(self, path: str = "/app", who: str = "ann") -> httpx.Response:
        """From a page to the provider and back to it: the answer of the callback."""
        answer = self.page(path)
        assert answer.status_code == 302, (answer.status_code, answer.text)
        back = self.at_provider(answer.headers["location"], who)
        return self.page(back, **{"sec-fetch-site": "cross-site"})


def query(url: str) -> dict[str, str]:
    """Parameters of a URL, each of which stands once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}


def changed(url: str, **parameters: str | None) -> str:
    """A URL with other parameters; `None` takes one away."""
    found = {**query(url), **parameters}
    parts = urlsplit(url)
    rest = urlencode({name: value for name, value in found.items() if value is not None})
    return parts._replace(query=rest).geturl()
