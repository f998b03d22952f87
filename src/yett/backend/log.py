"""What a service writes of a request: the gateway's ids in every log line, and audit lines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from yett.backend.context import request_context

Outcome = Literal["success", "failure", "denied"]
_AUDIT = logging.getLogger("yett.audit")
_AUDIT.setLevel(logging.INFO)


def _fields() -> dict[str, str | None]:
    context = request_context()
    if context is None:
        return dict.fromkeys(
            ("request_id", "trace_id", "principal", "provider", "client", "tenant", "revision")
        )
    caller = context.caller
    return {
        "request_id": context.request_id,
        "trace_id": context.trace_id,
        "principal": caller.subject,
        "provider": caller.provider,
        "client": caller.client,
        "tenant": caller.tenant,
        "revision": caller.revision,
    }


class LogFilter(logging.Filter):
    """Gives every record `request_id`, `trace_id`, `principal`, `provider`, `client`, `tenant` and `revision`; `-` where there is none.

    Add it to a handler, so that lines of libraries have them as well.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the fields; keeps every record."""
        for name, value in _fields().items():
            setattr(record, name, "-" if value is None else _plain(value))
        return True


def _plain(value: str) -> str:
    """A line stays one line, whatever a subject is called."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in value)


def audit(action: str, resource: str, outcome: Outcome, **details: str | int | bool | None) -> None:
    """Writes one JSON line to the logger `yett.audit`: who did what to what, and how it ended.

    Without any handler it goes to standard output.
    """
    line = {
        "event": "audit",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "action": action,
        "resource": resource,
        "outcome": outcome,
        **_fields(),
        **({"details": details} if details else {}),
    }
    if not _AUDIT.hasHandlers():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        _AUDIT.addHandler(handler)
    _AUDIT.info("%s", json.dumps(line, ensure_ascii=True))
