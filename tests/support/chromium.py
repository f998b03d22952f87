"""Chromium, driven over the WebDriver protocol (W3C) by Debian's chromedriver."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support.waiting import eventually

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--ignore-certificate-errors", "--disable-dev-shm-usage",
)  # fmt: skip
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Chromium:
    """One browser with a profile of its own, which is empty at first."""

    def __init__(self, driver: httpx.Client, profile: Path, hosts: dict[str, str]) -> None:
        rules = ",".join(f"MAP {name} {address}" for name, address in hosts.items())
        arguments = [*_FLAGS, f"--user-data-dir={profile}", f"--host-resolver-rules={rules}"]
        options = {"args": arguments, "binary": shutil.which("chromium")}
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options}
        self._driver = driver
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def _send(self, method: str, path: str, document: Any = None) -> Any:
        body = {} if method == "POST" and document is None else document
        answer = self._driver.request(method, path, json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"chromedriver: {answer['error']}: {answer['message'].splitlines()[0]}")
        return answer

    def go(self, url: str) -> None:
        """Loads a page, to its end."""
        self._send("POST", f"{self._session}/url", {"url": url})

    def become(self, agent: str, hints: bool = True) -> None:
        """Has the browser name itself so from now on, in `User-Agent` and, with `hints`, in its client hints."""
        version = agent.partition("Chrome/")[2].partition(".")[0]
        brands = [{"brand": name, "version": version} for name in ("Google Chrome", "Chromium")]
        named = {
            "brands": brands,
            "platform": "Linux",
            "platformVersion": "",
            "architecture": "",
            "model": "",
            "mobile": False,
        }
        arguments = {"userAgent": agent, **({"userAgentMetadata": named} if hints else {})}
        self._devtools("Emulation.setUserAgentOverride", arguments)

    def look(self, width: int, height: int, scheme: str) -> None:
        """Has pages be shown so wide and high from now on (below 500 as on a phone), and to somebody who prefers `light` or `dark`."""
        phone = width < 500
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._send("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def reload(self) -> None:
        self._send("POST", f"{self._session}/refresh")

    @property
    def url(self) -> str:
        return str(self._send("GET", f"{self._session}/url"))

    @property
    def title(self) -> str:
        return str(self._send("GET", f"{self._session}/title"))

    @property
    def text(self) -> str:
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of the page returns."""
        return self._send("POST", f"{self._session}/execute/sync", {"script": script, "args": arguments})

    def await_(self, script: str, *arguments: Any) -> Any:
        """What a script hands to its last argument."""
        return self._send("POST", f"{self._session}/execute/async", {"script": script, "args": arguments})

    def _find(self, selector: str) -> str:
        found = {"using": "css selector", "value": selector}
        return f"{self._session}/element/{self._send('POST', f'{self._session}/element', found)[_ELEMENT]}"

    def write(self, selector: str, text: str) -> None:
        self._send("POST", f"{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._send("POST", f"{self._find(selector)}/click")

    def cookies(self) -> list[dict[str, Any]]:
        """Those that the browser would send with this page, HttpOnly ones too."""
        return list(self._send("GET", f"{self._session}/cookie"))

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._send("GET", f"{self._session}/screenshot")))

    def close(self) -> None:
        self._send("DELETE", self._session)


@contextlib.contextmanager
def chromium(directory: Path, hosts: dict[str, str]) -> Iterator[Chromium]:
    """A browser for which these names have these addresses.

    Raises:
        RuntimeError: Debian's packages chromium and chromium-driver are not there.
    """
    program = shutil.which("chromedriver")
    if program is None:
        raise RuntimeError("the test in a browser needs Debian's packages chromium and chromium-driver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (directory / "chromedriver.log").open("wb")
    process = subprocess.Popen([program, f"--port={port}"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as driver:

            def ready() -> bool:
                try:
                    return bool(driver.get("/status").json()["value"]["ready"])
                except httpx.TransportError:
                    return False

            eventually(ready, 30, "chromedriver")
            browser = Chromium(driver, directory / "profile", hosts)
            try:
                yield browser
            finally:
                with contextlib.suppress(RuntimeError, httpx.HTTPError):
                    browser.close()
    finally:
        process.terminate()
        process.wait(10)
        log.close()
