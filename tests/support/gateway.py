"""A gateway under test: the real data plane on free ports, its access log, and a client for its front door."""

from __future__ import annotations

import itertools
import json
import re
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually
from tests.support.wire import Headers, Reply, Wire

Config = dict[str, Any]
_numbers = itertools.count()


def complete(config: Config, directory: Path) -> Config:
    """Adds what no test wants to repeat: version, a plain listener on a free port, the access log."""
    full: Config = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:0", "plaintext": "test"}},
        "admin": {"address": "127.0.0.1:0"},
        "access_log": {"file": str(directory / "access.jsonl")},
    }
    full.update(config)
    return full


def compiled(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """The gates of a configuration: parse, check, compile. Raises `ConfigurationError`."""
    from yett.config import compile_file

    result = compile_file(path)
    return result.ir, result.secrets


class Gateway:
    """A gateway in this process."""

    def __init__(self, config: Config | str, workers: int = 1, directory: Path | None = None) -> None:
        from yett import _core

        self.directory = directory or Path(tempfile.mkdtemp(prefix="yett-test-"))
        self.workers = workers
        self.core = _core.Gateway(json.dumps({"workers": workers}).encode())
        self.stopped = False
        try:
            self.revision = self.apply(config)
        except BaseException:
            self.stop(0)
            raise

    # configuration

    def write(self, config: Config | str) -> Path:
        path = self.directory / f"gateway-{next(_numbers)}.yaml"
        text = config if isinstance(config, str) else json.dumps(complete(config, self.directory), indent=1)
        path.write_text(text)
        return path

    def apply(self, config: Config | str) -> str:
        ir, secrets = compiled(self.write(config))
        return str(self.core.apply(ir, secrets))

    def reload(self, config: Config | str) -> str:
        """The same gates as a reload; raises and changes nothing when the configuration is bad."""
        self.revision = self.apply(config)
        return self.revision

    def status(self) -> Any:
        return json.loads(self.core.status())

    def stop(self, deadline: float = 5.0) -> None:
        if not self.stopped:
            self.stopped = True
            self.core.stop(deadline)

    # the front door

    def address(self, listener: str = "main") -> tuple[str, int]:
        listeners = self.status()["listeners"]
        found = next(item for item in listeners if item["name"] == listener)
        host, _, port = found["address"].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def port(self) -> int:
        return self.address()[1]

    def connect(self, listener: str = "main", **options: Any) -> Wire:
        return Wire(self.address(listener), **options)

    def request(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Headers = (),
        body: bytes = b"",
        host: str | None = "gateway.test",
        listener: str = "main",
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        with self.connect(listener, tls=tls, server_name=server_name) as wire:
            return wire.ask(method, target, headers, body, host)

    def get(self, target: str = "/", headers: Headers = (), **options: Any) -> Reply:
        return self.request("GET", target, headers, **options)

    def post(self, target: str = "/", body: bytes = b"", headers: Headers = (), **options: Any) -> Reply:
        return self.request("POST", target, headers, body, **options)

    def send(self, data: bytes, half_close: bool = False) -> tuple[list[Reply], bool]:
        """Raw bytes on a connection of their own: the answer, and whether the gateway closes after a refusal."""
        with self.connect() as wire:
            wire.send(data)
            if half_close:
                wire.half_close()
            replies = [wire.reply()]
            return replies, "connection" in replies[0] and wire.closed(3.0)

    # what it says of itself

    def admin(
        self, target: str, headers: Headers = (), method: str = "GET", host: str | None = None
    ) -> Reply:
        address, _, port = self.status()["admin"]["address"].rpartition(":")
        with Wire((address.strip("[]"), int(port))) as wire:
            return wire.ask(method, target, headers, host=host or f"{address}:{port}")

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels, as in the text: `name{label="value"}`."""
        text = bytes(self.core.metrics()).decode()
        samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name which carry these labels."""
        total = 0.0
        for sample, value in self.metrics().items():
            base, _, rest = sample.partition("{")
            found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', rest))
            if base == name and all(found.get(key) == text for key, text in labels.items()):
                total += value
        return total

    @property
    def log_path(self) -> Path:
        return self.directory / "access.jsonl"

    def log_text(self) -> bytes:
        return self.log_path.read_bytes() if self.log_path.exists() else b""

    def log_lines(self) -> list[dict[str, Any]]:
        """Every complete line so far; each has to be JSON."""
        return [json.loads(line) for line in self.log_text().split(b"\n")[:-1]]

    def wait_log(self, count: int = 1, within: float = 40.0) -> list[dict[str, Any]]:
        eventually(lambda: len(self.log_lines()) >= count, within, f"{count} log lines")
        return self.log_lines()

    def log_line(
        self, matching: Callable[[dict[str, Any]], bool] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """The one line with these fields, once it is there."""

        def find() -> list[dict[str, Any]]:
            return [
                line
                for line in self.log_lines()
                if all(line.get(key) == value for key, value in fields.items())
                and (matching is None or matching(line))
            ]

        found = eventually(find, what=f"a log line with {fields}; there are {self.log_lines()}")
        assert len(found) == 1, found
        return found[0]

    def events(self, timeout: float = 0.0) -> list[str]:
        return list(self.core.events(timeout))
