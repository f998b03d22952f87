"""Starting and stopping the parts of the demo: each is a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from yett.demo import DemoError
from yett.demo.shop import SERVICES, Shop, write_private

START_S = 30.0
STOP_S = 10.0
POLL_S = 0.05


class Running:
    """The parts of one instance: the services and the token endpoint first, then the gateway.

    A context manager; at its end the gateway stops first, so that no request meets a service that is gone.
    """

    def __init__(self, shop: Shop, *, watch: bool, quiet: bool) -> None:
        self.shop = shop
        self._watch = watch
        self._quiet = quiet
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._announced = False

    def __enter__(self) -> Running:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def check_alive(self) -> None:
        """Raises DemoError when a part has ended by itself."""
        for name, part in self._parts.items():
            if part.poll() is not None:
                log = self.shop.state / f"{name}.log"
                tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise DemoError(f"`{name}` ended with {part.returncode}; its last words:\n{tail}")

    def _start(self) -> None:
        shop = self.shop
        shop.prepare()
        environment = {
            **os.environ,
            "SHOP_ISSUER": shop.issuer,
            "SHOP_CLIENTS": str(shop.state / "clients.json"),
            "SHOP_PEOPLE": str(shop.state / "people.json"),
            # .pyc files do not belong into a directory of examples
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-m", "uvicorn", "identity:app", "--app-dir", str(shop.directory)]
        command += ["--host", "127.0.0.1", "--port", str(shop.ports["identity"]), "--log-level", "warning"]
        self._spawn("identity", command, environment, log=True)
        for name in SERVICES:
            command = [sys.executable, str(shop.directory / "serve.py"), name, str(shop.ports[name])]
            self._spawn(name, [*command, str(shop.state)], environment, log=True)
        for name in ("identity", *SERVICES):
            self._wait(name, lambda port=shop.ports[name]: _answers(port))  # type: ignore[misc]
        command = [sys.executable, "-m", "yett", "run", str(shop.configuration()), "--workers", "1"]
        command += ["--socket", str(shop.state / "control.sock")]
        if self._watch:
            command.append("--watch")
        self._spawn("gateway", command, environment, log=self._quiet)
        self._wait("gateway", lambda: _ready(shop.ports["admin"]))
        self._announced = True
        write_private(shop.state / "running.json", json.dumps({"pid": os.getpid(), "ports": shop.ports}))

    def _spawn(self, name: str, command: list[str], environment: dict[str, str], *, log: bool) -> None:
        # a session of its own: Ctrl-C reaches the demo alone, which stops the parts in order
        if not log:
            self._parts[name] = subprocess.Popen(command, env=environment, start_new_session=True)
            return
        with (self.shop.state / f"{name}.log").open("wb") as out:
            self._parts[name] = subprocess.Popen(
                command, env=environment, start_new_session=True, stdout=out, stderr=subprocess.STDOUT
            )

    def _wait(self, name: str, answers: Callable[[], bool]) -> None:
        until = time.monotonic() + START_S
        while not answers():
            self.check_alive()
            if time.monotonic() > until:
                raise DemoError(
                    f"`{name}` did not answer within {START_S:.0f} s; see {self.shop.state}/{name}.log"
                )
            time.sleep(POLL_S)

    def _stop(self) -> None:
        if self._announced:
            (self.shop.state / "running.json").unlink(missing_ok=True)
        for name in ("gateway", *SERVICES, "identity"):
            part = self._parts.get(name)
            if part is None or part.poll() is not None:
                continue
            part.send_signal(signal.SIGTERM)
            try:
                part.wait(STOP_S)
            except subprocess.TimeoutExpired:
                part.kill()
                part.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def require_alone(state: Path) -> None:
    """Raises DemoError where a demo runs with this state: a second one would change files under the first."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(state / "control.sock"))
        except OSError:
            return
    raise DemoError(
        "a demo of this directory runs already; stop it with Ctrl-C where it runs, or ask it from here: "
        "`yett demo token --client mobile`"
    )


def program() -> Path:
    """The `yett` program of this interpreter."""
    return Path(sys.executable).with_name("yett")
