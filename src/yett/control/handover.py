"""Giving the listening sockets to a successor, on the control socket; the running gateway's side.

successor  {"command": "takeover", "protocol": 1}
gateway    {"protocol": 1, "listeners": [...], "descriptors": n}, and n descriptors
successor  {"ready": true}      it accepts on the same sockets
gateway    {"go": true}
successor  {"done": true}       it answers on the control socket, too

Only then does the gateway leave. Whatever fails before leaves it as it was. It lets go of nothing by giving: descriptors
are sent once more, and its own stay open until its drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from array import array
from typing import Any

from yett.control.channel import Claim, Conversation
from yett.control.logs import log
from yett.control.plane import Plane

PROTOCOL = 1
# Descriptors in one message; the kernel takes 253.
BATCH = 200
# How long a successor may take to load its configuration, and to say the last word.
START_S = 120.0
LAST_WORD_S = 10.0


class Handover:
    """Hands over once, to one successor at a time."""

    def __init__(self, gateway: Any, claimed: Claim, plane: Plane) -> None:
        self.leaving = asyncio.Event()
        self._gateway = gateway
        self._claimed = claimed
        self._plane = plane
        self._task: asyncio.Task[Any] | None = None
        self._deciding = False

    async def give(self, conversation: Conversation, request: dict[str, Any]) -> dict[str, Any] | None:
        """Answers `takeover`."""
        theirs = request.get("protocol")
        if theirs != PROTOCOL:
            return {
                "error": f"it speaks version {PROTOCOL} of the handover, not `{theirs}`; stop it and start anew"
            }
        if self._task is not None or self.leaving.is_set():
            return {"error": "another takeover is under way"}
        self._task = asyncio.current_task()
        pid = conversation.peer.pid
        log().info("takeover_begun", successor=pid)
        try:
            # no reload meanwhile: the successor would not get its listeners
            async with self._plane.still():
                await self._exchange(conversation)
                self._plane.successor = pid
        except asyncio.CancelledError:
            _last_word(conversation, "it is stopping")
            raise
        except (TimeoutError, ValueError, OSError, RuntimeError) as error:
            why = str(error) or "it did not answer in time"
            log().error("takeover_failed", successor=pid, error=why, still_serving=self._plane.revision)
            _last_word(conversation, why)
        else:
            log().info("handed_over", successor=pid)
            self._claimed.owner = False
            self.leaving.set()
        finally:
            self._task = None
            self._deciding = False
        return None

    async def settle(self) -> bool:
        """Ends a takeover that is not decided, waits for one that is; whether a successor serves."""
        task = self._task
        if task is not None:
            if not self._deciding:
                task.cancel()
            await asyncio.wait({task})
        return self.leaving.is_set()

    async def _exchange(self, conversation: Conversation) -> None:
        given = json.loads(bytes(await asyncio.to_thread(self._gateway.hand_over)))
        numbers: list[int] = []
        for one in given:
            numbers += one["sockets"]
            if one["lock"] is not None:
                numbers.append(one["lock"])
        try:
            listeners = [
                {**one, "sockets": len(one["sockets"]), "lock": one["lock"] is not None} for one in given
            ]
            own = [self._claimed.bound.fileno(), self._claimed.lock]
            count = len(own) + len(numbers)
            await conversation.say({"protocol": PROTOCOL, "listeners": listeners, "descriptors": count})
            await asyncio.wait_for(_send(conversation.socket, own + numbers), LAST_WORD_S)
        finally:
            for number in numbers:
                os.close(number)
        await _expect(conversation, "ready", START_S)
        self._deciding = True
        await conversation.say({"go": True})
        await _expect(conversation, "done", LAST_WORD_S)


async def _expect(conversation: Conversation, word: str, within_s: float) -> None:
    heard = await conversation.hear(within_s)
    if heard.get(word) is not True:
        raise ValueError(str(heard.get("error", f"it did not say `{word}`")))


def _last_word(conversation: Conversation, error: str) -> None:
    with contextlib.suppress(OSError):
        conversation.socket.send(json.dumps({"error": error}).encode() + b"\n")


async def _send(connection: socket.socket, numbers: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for begin in range(0, len(numbers), BATCH):
        rights = array("i", numbers[begin : begin + BATCH])
        while True:
            try:
                connection.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                break
            except BlockingIOError:
                writable: asyncio.Future[None] = loop.create_future()
                loop.add_writer(connection, lambda it=writable: it.done() or it.set_result(None))  # type: ignore[misc]
                try:
                    await writable
                finally:
                    loop.remove_writer(connection)
