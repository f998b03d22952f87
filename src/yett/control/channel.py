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
import struct
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from yett.control.logs import log

LINE_LIMIT = 64 * 1024
IDLE_S = 10.0
# Conversations at once; whoever comes later is turned away.
CONVERSATIONS = 32

Handler = Callable[["Conversation", dict[str, Any]], Awaitable[dict[str, Any] | None]]


class Unreachable(Exception):
    """No gateway answers on the socket."""


@dataclass(frozen=True)
class Peer:
    """Who is at the other end of a Unix socket, in the words of the kernel."""

    pid: int
    uid: int


def peer(connection: socket.socket) -> Peer:
    """SO_PEERCRED: of who connected, or of who called `listen`."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return Peer(pid, uid)


def socket_path(file: Path, uid: int | None = None) -> Path:
    """Where the gateway of a configuration file listens: the same for everyone who names the same file.

    The directory is `$XDG_RUNTIME_DIR/yett`, else `yett-UID` in the directory for temporary files. For another user it is
    the former only where it is there and belongs to that user.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    theirs = Path(tempfile.gettempdir()) / f"yett-{os.getuid() if uid is None else uid}"
    directory = Path(runtime) / "yett" if runtime else theirs
    if uid not in {None, os.getuid()} and not (directory.is_dir() and directory.stat().st_uid == uid):
        directory = theirs
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


class Claim:
    """The bound control socket and its lock. Whoever owns the name removes it in the end."""

    def __init__(self, path: Path, bound: socket.socket, lock: int, *, owner: bool) -> None:
        self.path = path
        self.bound = bound
        self.lock = lock
        self.owner = owner
        bound.setblocking(False)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.owner:
            self.path.unlink(missing_ok=True)
        self.bound.close()
        os.close(self.lock)


def claim(path: Path, derived: bool) -> Claim:
    """Binds the socket, under a lock that a crashed gateway leaves behind open.

    Raises:
        Unreachable: another gateway has it, or its directory is not ours alone.
    """
    if derived:
        private_directory(path.parent)
    try:
        lock = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unreachable(
            f"cannot lock the control socket `{path}`: {error.strerror}; give another --socket"
        ) from None
    bound = socket.socket(socket.AF_UNIX)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unreachable(
                f"another gateway has the control socket `{path}`; stop it, take over from it with --takeover, "
                "or give this one --socket"
            ) from None
        path.unlink(missing_ok=True)
        # the mode is right before the name exists
        before = os.umask(0o177)
        try:
            bound.bind(str(path))
        except OSError as error:
            raise Unreachable(f"cannot bind the control socket `{path}`: {error.strerror or error}") from None
        finally:
            os.umask(before)
    except BaseException:
        bound.close()
        os.close(lock)
        raise
    return Claim(path, bound, lock, owner=True)


def lock_path(path: Path) -> Path:
    """The lock that goes with a control socket."""
    return path.with_suffix(".lock")


class Conversation:
    """One client of the control socket."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.peer = peer(connection)

    async def hear(self, within_s: float) -> dict[str, Any]:
        """The next line.

        Raises:
            ValueError: it is no document. TimeoutError, OSError: it does not come.
        """
        line = await asyncio.wait_for(self._line(), within_s)
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("not a command")
        return request

    async def say(self, answer: dict[str, Any]) -> None:
        """Sends a line."""
        data = json.dumps(answer, default=str).encode() + b"\n"
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.socket, data), IDLE_S)

    async def _line(self) -> bytes:
        loop = asyncio.get_running_loop()
        line = bytearray()
        while not line.endswith(b"\n"):
            more = await loop.sock_recv(self.socket, LINE_LIMIT)
            if not more:
                raise ConnectionResetError("the other end closed")
            line += more
            if len(line) > LINE_LIMIT:
                raise ValueError("the line is too long")
        return bytes(line)


class Channel:
    """Answers on the control socket. The socket stays open, so that a crash of this task loses no name."""

    def __init__(self, claimed: Claim, handler: Handler) -> None:
        self._bound = claimed.bound
        self._handler = handler
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Accepts for ever. When it is cancelled, what is open goes on, and nothing that was accepted is lost."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        self._bound.listen(CONVERSATIONS)

        def accept() -> None:
            try:
                connection, _ = self._bound.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if not failed.done():
                    failed.set_exception(error)
                return
            task = asyncio.create_task(self._converse(connection))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

        loop.add_reader(self._bound, accept)
        try:
            await failed
        finally:
            loop.remove_reader(self._bound)

    async def close(self) -> None:
        """Ends what is open."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                conversation = Conversation(connection)
                if conversation.peer.uid not in {os.getuid(), 0}:
                    log().warning("control_request_refused", uid=conversation.peer.uid)
                    await conversation.say({"error": "the gateway runs as another user"})
                    return
                if len(self._open) > CONVERSATIONS:
                    await conversation.say({"error": "too many ask at once; try again"})
                    return
                answer = await self._handler(conversation, await conversation.hear(IDLE_S))
                if answer is not None:
                    await conversation.say(answer)
            except (TimeoutError, ValueError, OSError) as error:
                log().warning("control_request_failed", error=str(error) or type(error).__name__)
            except Exception as error:
                log().exception("control_request_crashed", error=str(error))


def ask(path: Path, request: dict[str, Any], timeout_s: float, *, derived: bool = False) -> dict[str, Any]:
    """Sends one command to a running gateway. On a `derived` path it has to be of this user, or of root: the directory
    may be one that anybody could make.

    Raises:
        Unreachable: nobody answers, or another user does.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_s)
            client.connect(str(path))
            owner = peer(client).uid
            if derived and owner not in {os.getuid(), 0}:
                raise Unreachable(
                    f"what answers on `{path}` belongs to user {owner}; give its --socket if you trust it"
                )
            # who is refused unheard may still read why
            with contextlib.suppress(BrokenPipeError):
                client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as lines:
                line = lines.readline()
    except OSError as error:
        raise Unreachable(
            f"no gateway answers on `{path}` ({error.strerror or 'timed out'}); "
            "start it, or name the file that it was started with, or its --socket"
        ) from None
    try:
        answer = json.loads(line)
    except ValueError:
        raise Unreachable(f"the gateway on `{path}` gave no answer; its log says why") from None
    if "error" in answer:
        raise Unreachable(f"the gateway on `{path}` refused: {answer['error']}")
    return dict(answer)
