"""A request of the past, from its line in the access log: what the log has of it, and what it lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from yett.policy.engine import Question, Unanswerable


@dataclass(frozen=True)
class Past:
    """A request that was answered, rebuilt as far as the log goes."""

    question: Question
    line: dict[str, Any]
    lacks: tuple[str, ...]
    """What may have mattered and is not in the log."""
    unknown: frozenset[str]
    """Parts of rules that read what the log lacks."""

    def said(self) -> str:
        """What the log says became of it."""
        line = self.line
        reason = f" `{line['reason']}`" if "reason" in line else ""
        rule = f" by {line['rule']}" if "rule" in line else ""
        return f"{line['status']}{reason}{rule}, revision {line.get('revision', 'unknown')}"


def find(log: Path, request_id: str) -> dict[str, Any]:
    """The line of a request id.

    Raises:
        Unanswerable: there is none, or the log cannot be read.
    """
    wanted, damaged = request_id.encode(), 0
    try:
        with log.open("rb") as lines:
            for text in lines:
                if wanted not in text:
                    continue
                try:
                    line = json.loads(text)
                except ValueError:
                    damaged += 1
                    continue
                if isinstance(line, dict) and line.get("request_id") == request_id:
                    return line
    except OSError as error:
        raise Unanswerable(f"`{log}` cannot be read: {(error.strerror or 'error').lower()}") from None
    more = f"; {damaged} lines that may have it are damaged" if damaged else ""
    raise Unanswerable(f"`{log}` has no request `{request_id}`{more}")


def rebuild(document: dict[str, Any], line: dict[str, Any]) -> Past:
    """The question as far as the log has it.

    Raises:
        Unanswerable: the line has no method, host or path.
    """
    for key in ("method", "host", "path", "listener", "status"):
        if key not in line:
            raise Unanswerable(f"the line of this request has no `{key}`: it ended before its head was read")
    listener = next((one for one in document["listeners"] if one["name"] == line["listener"]), None)
    if listener is None:
        raise Unanswerable(
            f"the request came to listener `{line['listener']}`, which this configuration has not"
        )
    principals, lacks, unknown = _caller(document, line)
    lacks = ["the query", "header fields", *lacks]
    if "client_certificate" in line:
        lacks.append("the client certificate (its fingerprint is there)")
    scheme = "https" if listener.get("tls") else "http"
    host = f"[{line['host']}]" if ":" in line["host"] else line["host"]
    question = Question(
        line["method"], f"{scheme}://{host}{line['path']}", (), line["listener"], line["client"], None,
        _milliseconds(line.get("time")), principals,
    )  # fmt: skip
    return Past(question, line, tuple(lacks), frozenset(unknown))


def _milliseconds(time: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(time).timestamp() * 1000)
    except (TypeError, ValueError):
        return None


def _caller(
    document: dict[str, Any], line: dict[str, Any]
) -> tuple[tuple[dict[str, Any], ...], list[str], set[str]]:
    provider = next((one for one in document["providers"] if one["name"] == line.get("provider")), None)
    if provider is None:
        return (), [] if "provider" in line else ["a credential, where one was refused"], set()
    if provider["type"] not in {"jwt", "introspection", "oidc"}:
        # what such a caller has stands in the configuration
        return ({"provider": provider["name"], "name": line.get("subject", "")},), [], set()
    places = provider["claims"]
    claims: dict[str, Any] = {"sub": line.get("subject", "")}
    for key, path in (("client_id", places.get("client") or ["client_id"]), ("tenant", places.get("tenant"))):
        if key in line and path:
            here = claims
            for step in path[:-1]:
                here = here.setdefault(step, {})
            here[path[-1]] = line[key]
    lacks = ["scopes, roles and other claims of the caller"]
    unknown = {"scopes", "roles", "permissions", "claims", "device", "when"}
    return ({"provider": provider["name"], "claims": claims, "proved": True},), lacks, unknown
