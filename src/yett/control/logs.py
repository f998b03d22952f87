"""The gateway's own log: JSON lines on stderr, or readable ones on a terminal. Requests are in the access log."""

from __future__ import annotations

import sys
from typing import Any

import structlog


def configure() -> None:
    """Sets structlog up for this process."""
    renderer: Any
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    else:
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log() -> Any:
    """The logger: `log().info("event_name", field=value)`."""
    return structlog.get_logger()
