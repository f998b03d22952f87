"""The control socket: one JSON line in, one JSON line out, on a Unix socket that only its owner may open."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from yett.control.logs import log

LINE_LIMIT = 64 * 1024
IDLE_S = 10.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Unreachable(Exception):
    """No gateway answers on the socket."""


def socket_path(file: Path) -> Path:
    """Where the gateway of a configuration file listens: the same for everyone who names the same file.

    The directory is `$XDG_RUNTIME_DIR/yett`, else `yett-UID` in the directory for temporary files.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(runtime) / "yett" if runtime else Path(tempfile.gettempdir()) / f"yett-{os.getuid()}"
    # absolute, not resolved: the file may be a symbolic link that is swapped while the gateway runs
    name = hashlib.sha256(os.fsencode(Path(os.path.abspath(file)))).hexdigest()[:20]
    return directory / f"{name}.sock"


def private_directory(directory: Path) -> None:
    """Makes the directory with mode 0700, and refuses one that belongs to or is open to others.

    Raises:
        Unreachable: it is not ours alone.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Unreachable(
            f"`{directory}` has to be a directory of this user with mode 0700; remove it or give --socket"
        )


@contextlib.contextmanager
def claim(path: Path, derived: bool) -> Iterator[socket.socket]:
    """Binds the socket, under a lock that a crashed gateway leaves behind open.

    Raises:
        Unreachable: another gateway has it, or its directory is not ours alone.
    """
    if derived:
        private_directory(path.parent)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unreachable(
                f"another gateway has the control socket `{path}`; stop it, or give this one --socket"
            ) from None
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as bound:
            # the mode is right before the name exists
            before = os.umask(0o177)
            try:
                bound.bind(str(path))
            except OSError as error:
                raise Unreachable(
                    f"cannot bind the control socket `{path}`: {error.strerror or error}"
                ) from None
            finally:
                os.umask(before)
            bound.setblocking(False)
            try:
                yield bound
            finally:
                path.unlink(missing_ok=True)
    finally:
        os.close(lock)


async def serve(bound: socket.socket, handler: Handler) -> None:
    """Answers commands for ever. The socket stays open, so that a crash of this task loses no name."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), IDLE_S)
            request = json.loads(line)
            answer = await handler(request) if isinstance(request, dict) else {"error": "not a command"}
            writer.write(json.dumps(answer, default=str).encode() + b"\n")
            await asyncio.wait_for(writer.drain(), IDLE_S)
        except (TimeoutError, ValueError, OSError) as error:
            log().warning("control_request_failed", error=str(error) or type(error).__name__)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(one, sock=bound.dup(), limit=LINE_LIMIT)
    async with server:
        await server.serve_forever()


def ask(path: Path, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Sends one command to a running gateway.

    Raises:
        Unreachable: nobody answers.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_s)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as lines:
                line = lines.readline()
    except OSError as error:
        raise Unreachable(
            f"no gateway answers on `{path}` ({error.strerror or 'timed out'}); "
            "name the file that it was started with, or its --socket"
        ) from None
    try:
        answer = json.loads(line)
    except ValueError:
        raise Unreachable(f"the gateway on `{path}` gave no answer; its log says why") from None
    if "error" in answer:
        raise Unreachable(f"the gateway on `{path}` refused: {answer['error']}")
    return dict(answer)
