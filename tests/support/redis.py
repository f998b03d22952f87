"""A real Redis (Debian's package `redis-server`) on a free port, without anything on disk."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.waiting import eventually


class Redis:
    """One server. `tls` are paths of its certificate, key and authority."""

    def __init__(
        self,
        password: str | None = None,
        tls: tuple[Path, Path, Path] | None = None,
        further: tuple[str, ...] = (),
    ) -> None:
        self._further = further
        self.port = free_port()
        self.password = password
        self._tls = tls
        self.start()

    def start(self) -> None:
        """Starts it, empty; also again after `stop`, on the same port."""
        # Of its own: what it writes for a replica would be read by the next one that starts there.
        self._directory = tempfile.TemporaryDirectory(prefix="yett-redis-")
        words = [
            *self._further,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            self._directory.name,
        ]
        if self._tls:
            certificate, key, authority = map(str, self._tls)
            words += [
                "--port",
                "0",
                "--tls-port",
                str(self.port),
                "--tls-cert-file",
                certificate,
                "--tls-key-file",
                key,
            ]
            words += ["--tls-ca-cert-file", authority, "--tls-auth-clients", "no"]
        else:
            words += ["--port", str(self.port)]
        if self.password:
            words += ["--requirepass", self.password]
        self.process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        eventually(self._answers, within=20, what="redis-server")

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def ask(self, *words: str) -> str:
        """One command; the answer's first line without its type."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
            client: socket.socket = plain
            if self._tls:
                context = ssl.create_default_context(cafile=str(self._tls[2]))
                client = context.wrap_socket(plain, server_hostname="localhost")
            with client.makefile("rwb") as stream:
                for command in ([["AUTH", self.password]] if self.password else []) + [list(words)]:
                    stream.write(f"*{len(command)}\r\n".encode())
                    for word in command:
                        data = word.encode()
                        stream.write(b"$%d\r\n%s\r\n" % (len(data), data))
                    stream.flush()
                    line = stream.readline().decode().strip()
                    if line.startswith("$") and line != "$-1":
                        line = ":" + stream.readline().decode().strip()
                return line[1:]

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[str]]:
        """Commands that it carries out meanwhile, as MONITOR shows them."""
        lines: list[str] = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            stream = client.makefile("rwb")
            stream.write(b"MONITOR\r\n")
            stream.flush()
            assert stream.readline() == b"+OK\r\n"
            client.settimeout(None)

            def read() -> None:
                with contextlib.suppress(OSError, ValueError):
                    lines.extend(line.decode(errors="replace") for line in iter(stream.readline, b""))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            try:
                yield lines
            finally:
                client.shutdown(socket.SHUT_RDWR)
                reader.join(10)

    def config(self, **changes: Any) -> dict[str, Any]:
        """What stands under `state.redis`."""
        plain = {} if self._tls else {"plaintext": "test"}
        scheme = "rediss" if self._tls else "redis"
        url = f"{scheme}://localhost:{self.port}"
        return {"url": url, "deadline": "2s", **plain, **changes}

    def stall(self) -> None:
        """It accepts, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """It is gone, and what it held with it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
        self._directory.cleanup()


class Cluster:
    """Three masters of a Redis Cluster, without replicas."""

    def __init__(self) -> None:
        self._buses = [free_port() for _ in range(3)]
        self.nodes = [
            Redis(
                further=(
                    "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "5000",
                    "--cluster-require-full-coverage", "no",
                )
            )
            for bus in self._buses
        ]  # fmt: skip
        for number, (node, bus) in enumerate(zip(self.nodes, self._buses, strict=True)):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)) == "OK"
            assert self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus)) == "OK"
        eventually(self._whole, within=60, what="a cluster that is whole")

    def _whole(self) -> bool:
        return all(
            node.ask("CLUSTER", "INFO") == "cluster_state:ok" and node.ask("CLUSTER", "SLOTS") == "3"
            for node in self.nodes
        )

    def config(self) -> dict[str, Any]:
        """What stands under `state.redis`: the first address is one where nobody is."""
        further = [f"127.0.0.1:{node.port}" for node in self.nodes]
        url = f"redis://localhost:{free_port()}"
        return {"url": url, "deadline": "2s", "plaintext": "test", "cluster": {"any_of": further}}

    def stop(self) -> None:
        """All of it is gone."""
        for node in self.nodes:
            node.stop()


class Sentinel:
    """A real Redis Sentinel that watches one master alone, and calls it `shop`."""

    def __init__(
        self, master: Redis, directory: Path, password: str | None = None, replicas: int = 1
    ) -> None:
        self.password = password
        self.port = free_port()
        file = directory / f"sentinel-{self.port}.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {directory}",
            f"sentinel monitor shop 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds shop 500",
            "sentinel failover-timeout shop 5000",
            *([f"sentinel auth-pass shop {master.password}"] if master.password else []),
            *([f"requirepass {password}"] if password else []),
        ]
        file.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(["redis-server", str(file), "--sentinel"], stdout=subprocess.DEVNULL)
        eventually(
            lambda: self._knows("REPLICAS", replicas), within=60, what="a Sentinel that knows the replica"
        )

    def _knows(self, what: str, count: int) -> bool:
        try:
            return self.ask("SENTINEL", what, "shop") == str(count)
        except OSError:
            return False

    def ask(self, *words: str) -> str:
        """One command; the answer's first line without its type."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as client,
            client.makefile("rwb") as stream,
        ):
            for command in ([("AUTH", self.password)] if self.password else []) + [words]:
                parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in command)
                stream.write(b"*%d\r\n%s" % (len(command), parts))
                stream.flush()
                answer = stream.readline().decode().strip()[1:]
            return answer

    def stop(self) -> None:
        """It is gone."""
        self.process.kill()
        self.process.wait(10)
