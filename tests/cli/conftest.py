"""The program as a person runs it: a process of its own, its standard streams, its signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually
from tests.support.wire import Reply, Wire


class Yett:
    """Commands that end by themselves."""

    def __init__(self, runtime: Path) -> None:
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "NO_COLOR": "1", "COLUMNS": "200"}

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "yett", *map(str, words)],
            env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


class Running:
    """`yett run`, its log read as it comes."""

    def __init__(
        self,
        yett: Yett,
        *words: str | Path,
        launcher: Sequence[str] = (),
        descriptors: Sequence[int] = (),
        stdout: int = subprocess.DEVNULL,
    ) -> None:
        self.process = subprocess.Popen(
            [*launcher, sys.executable, "-m", "yett", "run", *map(str, words)],
            env=yett.environment, stdout=stdout, stderr=subprocess.PIPE, text=True, pass_fds=descriptors,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> dict[str, Any]:
        def there() -> bool:
            assert self.process.poll() is None or len(self.events(name)) >= count, "".join(self.lines)
            return len(self.events(name)) >= count

        eventually(there)
        return self.events(name)[-1]

    @property
    def port(self) -> int:
        return int(self.wait_for("serving")["listeners"][0]["address"].rpartition(":")[2])

    def get(self, target: str) -> Reply:
        with Wire(("127.0.0.1", self.port)) as wire:
            return wire.ask("GET", target)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        code = self.process.wait(20)
        self._reader.join(5)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture
def yett(tmp_path: Path) -> Yett:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    return Yett(runtime)


@pytest.fixture
def run(yett: Yett) -> Iterator[Callable[..., Running]]:
    """`run(FILE, …)` starts `yett run FILE …` and waits until it serves."""
    with contextlib.ExitStack() as stack:

        def start(*words: str | Path, wait: bool = True, **options: Any) -> Running:
            started = Running(yett, *words, **options)
            stack.callback(started.close)
            if wait:
                started.wait_for("serving")
            return started

        yield start


def config(body: str = "one", extra: str = "") -> str:
    """A gateway that answers `/hello` by itself."""
    return f"""\
version: 1
process: {{drain: 5s}}
access_log: off
listeners: {{local: {{address: "127.0.0.1:0", plaintext: "test"}}}}
routes:
  hello:
    match: {{hosts: any, path: /hello, methods: GET}}
    access: public
    respond: {{status: 200, body: {body}}}
{extra}"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(config())
    return path
