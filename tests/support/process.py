"""The real command, `yett run`, as a process of its own: signals, symlinks, standard error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.configs import Config
from tests.support.gateway import complete
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.wire import Headers, Reply, Truncated, Wire


def open_files(pid: int) -> dict[str, str]:
    """Number of each open descriptor of a process -> what it is. One that is closed while we look is left out."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[number] = os.readlink(f"/proc/{pid}/fd/{number}")
    return found


class Process:
    """`yett run` with a configuration file; `port` and `admin_port` are its listener's and the probes'."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        *options: str,
        file: Path | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.port, self.admin_port = free_port(), free_port()
        self.file = file or directory / "gateway.yaml"
        self.write(config)
        self.stderr_path = directory / "stderr.txt"
        self.process = subprocess.Popen(
            [
                *prefix,
                sys.executable,
                "-c",
                "from yett.cli import main; main()",
                "run",
                str(self.file),
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=self.stderr_path.open("wb"),
            cwd=directory,
            env={**os.environ, "XDG_RUNTIME_DIR": str(directory)},
        )
        eventually(self.ready, within=20, what=f"yett run; it says: {self.stderr()}")

    def write(self, config: Config, to: Path | None = None) -> None:
        full = complete(config, self.directory)
        full["listeners"] = {"main": {**full["listeners"]["main"], "address": f"127.0.0.1:{self.port}"}}
        full["admin"] = {"address": f"127.0.0.1:{self.admin_port}"}
        (to or self.file).write_text(json.dumps(full))

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"yett run ended with {self.process.returncode}: {self.stderr()}")
        try:
            with Wire(("127.0.0.1", self.admin_port), timeout=5) as wire:
                return wire.ask(target="/readyz", host=f"127.0.0.1:{self.admin_port}").status == 200
        except (OSError, Truncated):
            return False

    def request(
        self, method: str = "GET", target: str = "/", headers: Headers = (), body: bytes = b""
    ) -> Reply:
        with self.connect() as wire:
            return wire.ask(method, target, headers, body)

    def get(self, target: str, headers: Headers = ()) -> Reply:
        return self.request("GET", target, headers)

    def connect(self, **options: Any) -> Wire:
        return Wire(("127.0.0.1", self.port), **options)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stderr(self) -> str:
        return self.stderr_path.read_text() if self.stderr_path.exists() else ""

    def wait(self, within: float = 20.0) -> int:
        return self.process.wait(within)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
