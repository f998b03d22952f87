"""Peers that are written in Go, at pinned versions, installed once under target/go."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "go"

TOOLS = {
    "h2spec": "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible",
    "pebble": "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1",
    "grpc-interop-client": "google.golang.org/grpc/interop/client@v1.85.0",
    "grpc-interop-server": "google.golang.org/grpc/interop/server@v1.85.0",
}
"""Name and `module@version` of each."""


def go_tool(name: str) -> Path:
    """The program; installs it (up to a minute) where it is missing.

    Raises:
        RuntimeError: there is no Go, or the installation failed; the message ends with what Go said.
    """
    module = TOOLS[name]
    directory = HOME / name / module.rpartition("@")[2]
    program = directory / module.partition("@")[0].rpartition("/")[2]
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            environment = {**os.environ, "GOBIN": str(directory), "GOFLAGS": "-mod=mod"}
            _go(["install", module], directory, environment)
    return program


def go_program(name: str) -> Path:
    """A program whose source is in `tests/support/go`; builds it where its source has changed.

    Raises:
        RuntimeError: there is no Go, or the build failed.
    """
    source = Path(__file__).parent / "go" / name
    program = HOME / f"{name}-program"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(file.stat().st_mtime for file in source.iterdir())
        if not program.exists() or program.stat().st_mtime < newest:
            _go(["build", "-o", str(program), "."], source, {**os.environ})
    return program


def go_module(module: str) -> Path:
    """The directory of a module's source, as `module@version`; fetched where it is missing.

    Raises:
        RuntimeError: there is no Go, or it could not be fetched.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOFLAGS": "-modcacherw"}
    return Path(json.loads(_go(["mod", "download", "-json", module], HOME, environment))["Dir"])


def _go(arguments: list[str], directory: Path, environment: dict[str, str]) -> str:
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if go is None:
        raise RuntimeError("a program of the tests is built with Go, which is not here: https://go.dev/dl")
    done = subprocess.run(
        [go, *arguments], env=environment, cwd=directory, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"`go {' '.join(arguments)}` failed:\n{done.stderr[-2000:]}")
    return done.stdout
