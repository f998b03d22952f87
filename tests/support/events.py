"""A real service of server-sent events: Starlette on uvicorn, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.support.waiting import eventually


class EventService:
    """`send` puts an event into every open answer; `open` and `left` count answers."""

    def __init__(self) -> None:
        self.open = 0
        self.left = 0
        self._queues: list[asyncio.Queue[str]] = []
        application = Starlette(routes=[Route("/{rest:path}", self._answer)])
        self._server = uvicorn.Server(
            uvicorn.Config(application, port=0, log_level="error", ws="none", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started, what="uvicorn")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve()

    async def _answer(self, _: Request) -> StreamingResponse:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._queues.append(queue)

        async def events() -> AsyncIterator[str]:
            self.open += 1
            try:
                while True:
                    yield f"data: {await queue.get()}\n\n"
            finally:
                self.open -= 1
                self.left += 1
                self._queues.remove(queue)

        return StreamingResponse(events(), media_type="text/event-stream")

    def send(self, text: str) -> None:
        for queue in list(self._queues):
            self._loop.call_soon_threadsafe(queue.put_nowait, text)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
