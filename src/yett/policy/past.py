"""A request of the past, from its line in the access log: what the log has of it, and what it lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from yett.policy.engine import Question, Unanswerable
from yett.policy.logs import opened
from yett.policy.needed import judged


@dataclass(frozen=True)
class Past:
    """A request that was answered, rebuilt as far as the log goes."""

    question: Question
    line: dict[str, Any]
    lacks: tuple[str, ...]
    """What may have mattered and is not in the log."""
    unknown: frozenset[str]
    """Parts of rules that read what the log lacks, or may."""

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
    damaged = 0
    try:
        wanted = request_id.encode()
    except UnicodeEncodeError:
        raise Unanswerable("a request id is of letters and digits") from None
    with opened(log) as lines:
        for text in lines:
            if wanted not in text:
                continue
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                damaged += 1
                continue
            if isinstance(line, dict) and line.get("request_id") == request_id:
                return line
    more = f"; {damaged} lines that may have it are damaged" if damaged else ""
    raise Unanswerable(f"`{log}` has no request `{request_id}`{more}")


def rebuild(document: dict[str, Any], line: dict[str, Any]) -> Past:
    """The question as far as the log has it.

    Raises:
        Unanswerable: the line has no method, host or path, or one that is none.
    """
    for key, kind in (("method", str), ("host", str), ("path", str), ("listener", str), ("client", str), ("status", int)):  # fmt: skip
        if key not in line:
            raise Unanswerable(f"the line of this request has no `{key}`: it ended before its head was read")
        if not isinstance(line[key], kind):
            raise Unanswerable(f"the line of this request is damaged: its `{key}` is none")
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
        ja4=line.get("ja4") if listener.get("tls") else None,
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
        return (), [] if "provider" in line else ["a credential, where one was refused"], {"when"}
    if provider["type"] not in {"jwt", "introspection", "oidc"}:
        # what such a caller has stands in the configuration
        return ({"provider": provider["name"], "name": line.get("subject", "")},), [], {"when"}
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


def is_open(found: Past, document: dict[str, Any], decision: dict[str, Any]) -> bool:
    """Whether what the log lacks may have decided otherwise than the answer without it. Never where the log says the same."""
    refusal = decision["refusal"]
    if (refusal["reason"] if refusal else None) == found.line.get("reason"):
        return False
    phase = decision["phase"]
    if refusal is None or phase == "authorize":
        route = next((one for one in document["routes"] if one["name"] == decision["route"]), None)
        return _rules_open(route, decision, refused=refusal is not None)
    if phase == "receive":
        return False
    if phase == "route":
        return any(one["match"]["headers"] or one["match"]["query"] for one in document["routes"])
    return phase != "screen" or "address" not in refusal["reason"]


def _rules_open(route: dict[str, Any] | None, decision: dict[str, Any], *, refused: bool) -> bool:
    """Whether no part that is known decided: one that fails refuses, a denial of which all parts hold does, too."""
    unknown = False
    for rule, one in judged(route, decision.get("rules")):
        outcomes = [part["outcome"] for part in one["parts"]]
        if one["kind"] == "tenant" and rule["from"].keys() & {"query", "header", "headers"}:
            outcomes = ["unknown"]
        unknown |= "unknown" in outcomes
        if one["kind"] == "deny":
            if "unknown" not in outcomes and "fails" not in outcomes:
                return False
        elif refused and "fails" in outcomes:
            return False
    return unknown
