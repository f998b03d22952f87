"""Pebble, the ACME server that Let's Encrypt tests clients with, and a name server that knows one address."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
import urllib.request
from pathlib import Path

from tests.support.certificates import make
from tests.support.go_tools import go_tool
from tests.support.ports import free_port
from tests.support.waiting import eventually


class Names:
    """A name server over TCP: every name has the address 127.0.0.1."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client, client.makefile("rb") as asked:
                while size := asked.read(2):
                    client.sendall(self._answer(asked.read(int.from_bytes(size))))

    def _answer(self, asked: bytes) -> bytes:
        end = asked.index(b"\0", 12) + 5
        kind = struct.unpack("!H", asked[end - 4 : end - 2])[0]
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01" if kind == 1 else b""
        head = asked[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if answer else b"\0\0") + b"\0\0\0\0"
        whole = head + asked[12:end] + answer
        return struct.pack("!H", len(whole)) + whole

    def close(self) -> None:
        self.socket.close()


class Pebble:
    """An authority that asks for challenges on `http_port` and issues for so many seconds."""

    def __init__(self, directory: Path, http_port: int, lifetime_s: int = 86_400) -> None:
        self.directory = directory / "pebble"
        self.directory.mkdir()
        own = make("pebble", names=["127.0.0.1"], authority=False)
        self.ca = self.directory / "ca.pem"
        self.ca.write_text(own.pem)
        (self.directory / "key.pem").write_text(own.key_pem)
        self.names = Names()
        self.port, self.management = free_port(), free_port()
        config = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.ca), "privateKey": str(self.directory / "key.pem"), "httpPort": http_port,
            "tlsPort": free_port(), "keyAlgorithm": "ecdsa", "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "test", "validityPeriod": lifetime_s}},
        }  # fmt: skip
        (self.directory / "config.json").write_text(json.dumps({"pebble": config}))
        environment = {
            "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0",
        }  # fmt: skip
        self.log = self.directory / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [go_tool("pebble"), "-config", self.directory / "config.json", "-dnsserver", self.names.address],
                env={**os.environ, **environment}, stdout=log, stderr=log, cwd=self.directory,
            )  # fmt: skip
        eventually(self._ready, what=self.log.read_text())

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def orders(self) -> int:
        return len(re.findall(r"Added order ", self.log.read_text()))

    @property
    def accounts(self) -> int:
        return len(re.findall(r"There are now \d+ accounts", self.log.read_text()))

    def root(self) -> str:
        """PEM of the authority whose certificates it issues."""
        return self._get("/roots/0")

    def _get(self, path: str) -> str:
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(
            f"https://127.0.0.1:{self.management}{path}", context=context, timeout=5
        ) as answer:
            return answer.read().decode()

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.root())
        except OSError:
            return False

    def close(self) -> None:
        self.names.close()
        self.process.kill()
        self.process.wait(5)
