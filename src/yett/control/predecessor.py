"""Taking the listening sockets over from a running gateway; the successor's side of `handover`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yett.control import channel
from yett.control.channel import Claim, Unreachable, lock_path
from yett.control.handover import BATCH, PROTOCOL

# The gateway may have a reload to end first.
ANSWER_S = 30.0
GO_S = 10.0
DOCUMENT_LIMIT = 4 * 1024 * 1024
# What a process could listen on; beyond it the document is no honest one.
DESCRIPTORS = 65536


class Predecessor:
    """A gateway that serves, and waits to hear that this one does."""

    def __init__(
        self, connection: socket.socket, pid: int, claimed: Claim, adopted: list[dict[str, Any]]
    ) -> None:
        self.pid = pid
        self.claimed = claimed
        self.adopted = adopted
        self._connection = connection

    def close(self) -> None:
        """Before `done` this leaves the other one serving."""
        self._connection.close()

    def fail(self, error: str) -> None:
        """Tells why this one does not serve."""
        with contextlib.suppress(OSError):
            _say(self._connection, {"error": error})

    def ready(self) -> bool:
        """Says that this one accepts, and waits for leave to go on. False where the other one has died meanwhile.

        Raises:
            Unreachable: it does not let go, and serves on.
        """
        self._connection.settimeout(GO_S)
        try:
            # where it has hung up, its last word may still wait to be read
            with contextlib.suppress(BrokenPipeError):
                _say(self._connection, {"ready": True})
            line = _line(self._connection)
            answer = json.loads(line) if line else None
        except TimeoutError:
            raise Unreachable(f"process {self.pid} does not answer, and serves on") from None
        except (OSError, ValueError):
            answer = None
        if not isinstance(answer, dict):
            return False
        if answer.get("go") is not True:
            raise Unreachable(f"process {self.pid} serves on: {answer.get('error', 'it gave no reason')}")
        return True

    def done(self) -> None:
        """The last word. The other one leaves."""
        with contextlib.suppress(OSError):
            _say(self._connection, {"done": True})
        self._connection.close()
        self.claimed.owner = True


def connect(path: Path, uid: int) -> Predecessor | None:
    """Asks the gateway behind a control socket for everything; None where no gateway runs. `uid` is the user of this one.

    Raises:
        Unreachable: one runs, and does not give.
    """
    connection = socket.socket(socket.AF_UNIX)
    received: list[int] = []
    try:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        other = channel.peer(connection)
        if other.uid != uid:
            raise Unreachable(
                f"the gateway on `{path}` belongs to user {other.uid}, this one to {uid}; "
                "a takeover needs the same user"
            )
        # who is refused unheard may still read why
        with contextlib.suppress(BrokenPipeError):
            _say(connection, {"command": "takeover", "protocol": PROTOCOL})
        document = _receive(connection, received)
        return _understood(connection, path, document, received)
    except BaseException as error:
        for number in received:
            os.close(number)
        connection.close()
        if isinstance(error, OSError | ValueError | KeyError | TypeError | StopIteration):
            reason = "it did not answer in time" if isinstance(error, TimeoutError) else error
            raise Unreachable(f"the gateway on `{path}` could not hand over: {reason}") from None
        raise


def _understood(
    connection: socket.socket, path: Path, document: dict[str, Any], received: list[int]
) -> Predecessor:
    """Says which descriptor is what. Takes them out of `received` in the end."""
    if "error" in document:
        raise Unreachable(f"the gateway on `{path}` refused: {document['error']}")
    if document["protocol"] != PROTOCOL:
        raise Unreachable(
            f"the gateway on `{path}` speaks another version of the handover; stop it and start anew"
        )
    numbers: Iterator[int] = iter(received)
    bound, lock = next(numbers), next(numbers)
    adopted = [
        {
            "listener": one["listener"],
            "address": str(one["address"]),
            "sockets": [next(numbers) for _ in range(one["sockets"])],
            "lock": next(numbers) if one["lock"] else None,
        }
        for one in document["listeners"]
    ]
    if next(numbers, None) is not None:
        raise ValueError("there are more descriptors than listeners")
    found, named = os.fstat(lock), lock_path(path).lstat()
    if (found.st_dev, found.st_ino) != (named.st_dev, named.st_ino):
        raise ValueError("the lock of the control socket is another one")
    # the lock is the description's, so this holds it already or finds it free
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    control = socket.socket(fileno=bound)
    received.clear()
    pid = channel.peer(connection).pid
    return Predecessor(connection, pid, Claim(path, control, lock, owner=False), adopted)


def _receive(connection: socket.socket, received: list[int]) -> dict[str, Any]:
    """The document, and into `received` its descriptors: one byte goes with each message of them."""
    room = socket.CMSG_SPACE(BATCH * array("i").itemsize)
    data = b""
    while True:
        more, ancillary, flags, _ = connection.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, rights in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array("i")
                numbers.frombytes(rights[: len(rights) - len(rights) % numbers.itemsize])
                received.extend(numbers)
        if flags & socket.MSG_CTRUNC:
            raise ValueError("not all descriptors came; raise the limit of open files (LimitNOFILE)")
        if not more:
            raise ValueError("it closed the connection; its log says why")
        data += more
        line, end, rest = data.partition(b"\n")
        if not end:
            if len(line) > DOCUMENT_LIMIT:
                raise ValueError("its answer is too long")
            continue
        document = json.loads(line)
        if not isinstance(document, dict):
            raise ValueError("its answer is no document")
        count = document.get("descriptors", 0)
        if count > DESCRIPTORS:
            raise ValueError("it names too many descriptors")
        if "error" in document or len(rest) >= -(-count // BATCH):
            if "error" not in document and len(received) != count:
                raise ValueError(f"{len(received)} of {count} descriptors came")
            return document


def _say(connection: socket.socket, word: dict[str, Any]) -> None:
    connection.sendall(json.dumps(word).encode() + b"\n")


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            return b""
        line += more
    return line
