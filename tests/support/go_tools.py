"""Peers that are written in Go, at pinned versions, installed once under target/go."""

from __future__ import annotations

import fcntl
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
            go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
            if go is None:
                raise RuntimeError(f"`{name}` is installed with Go, which is not here: https://go.dev/dl")
            done = subprocess.run(
                [go, "install", module],
                env={**os.environ, "GOBIN": str(directory), "GOFLAGS": "-mod=mod"},
                cwd=directory,
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(f"`go install {module}` failed:\n{done.stderr[-2000:]}")
    return program
