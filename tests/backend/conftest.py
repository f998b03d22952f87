"""`serve(app)` runs an application on a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.services import Asgi, Wsgi


@pytest.fixture
def asgi(_cleanup: contextlib.ExitStack) -> Callable[[Any], Asgi]:
    def start(app: Any) -> Asgi:
        started = Asgi(app)
        _cleanup.callback(started.close)
        return started

    return start


@pytest.fixture
def wsgi(_cleanup: contextlib.ExitStack) -> Callable[[Any], Wsgi]:
    def start(app: Any) -> Wsgi:
        started = Wsgi(app)
        _cleanup.callback(started.close)
        return started

    return start
