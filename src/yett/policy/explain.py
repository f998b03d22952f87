"""Why a request is let in or refused: each phase and its outcome, safe to paste (no token, no secret, no personal claim)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from yett.policy import token
from yett.policy.engine import Engine, Question

PHASES = (
    "receive",
    "screen",
    "route",
    "authenticate",
    "authorize",
    "limit",
    "validate",
    "authorize_body",
    "prepare",
)
"""In the order in which they decide; then the request is forwarded."""
_WIDTH = 16


def explain(engine: Engine, question: Question) -> dict[str, Any]:
    """The decision, and what helps to understand it.

    Raises:
        yett.policy.engine.Unanswerable: the question is none.
    """
    decision = engine.decide(question)
    forward = decision.get("forward")
    if forward:
        # names only: values may be personal, or secrets of the service
        forward["headers"] = sorted({name for name, _ in forward["headers"]})
    principal = decision.get("principal")
    if principal:
        principal["claims"] = sorted(principal["claims"])
    for vouched in decision["vouched"]:
        vouched["claims"] = sorted(vouched["claims"])
    authorization = [value for name, value in question.headers if name.lower() == "authorization"]
    decision["presented"] = [token.describe(value, decision["time_ms"]) for value in authorization]
    decision["accepted"] = [accepts(provider) for provider in _accepted(engine, decision["route"])]
    decision["request"] = {"method": question.method, "url": question.url.partition("?")[0]}
    return decision


def _accepted(engine: Engine, route: str | None) -> list[dict[str, Any]]:
    found = next((one for one in engine.routes if one["name"] == route), None)
    access = found["access"] if found else "public"
    if not isinstance(access, dict):
        return []
    names = access["authenticated"]["providers"]
    return [provider for name in names for provider in engine.providers if provider["name"] == name]


def accepts(provider: dict[str, Any]) -> str:
    """What a provider of the document asks of a credential, in a line."""
    kind, name = provider["type"], provider["name"]
    if kind == "jwt":
        audiences = " or ".join(provider.get("audiences") or ())
        algorithms = ", ".join(provider.get("algorithms") or ())
        return f"{name}: tokens of {provider['issuer']} for {audiences or 'no audience'}, signed with {algorithms}"
    if kind == "api_key":
        return f"{name}: keys in {provider['header']}"
    return f"{name}: {kind}"


def lines(decision: dict[str, Any]) -> Iterator[str]:
    """The explanation for people."""
    request, when = decision["request"], datetime.fromtimestamp(decision["time_ms"] / 1000, UTC)
    yield f"{request['method']} {request['url']} on `{decision['listener']}`, from {decision['client']}, at {when:%Y-%m-%dT%H:%M:%SZ}"
    yield ""
    stopped = decision["phase"]
    for phase in PHASES:
        if phase == stopped:
            break
        yield _row(phase, "ok", _passed(phase, decision))
    if decision["outcome"] == "allow":
        yield _row(
            "forward",
            "allow",
            f"to `{decision['service']}`, as {decision['forward']['target'].partition('?')[0]}",
        )
        yield _row("", "", "with " + ", ".join(decision["forward"]["headers"]))
    elif decision["outcome"] == "answer":
        yield _row(stopped, "answer", f"the gateway answers {decision['status']} by itself")
    else:
        yield from _refused(stopped, decision)


def _passed(phase: str, decision: dict[str, Any]) -> str:
    principal = decision["principal"]
    if phase == "receive":
        return f"host {decision['host']}, path {decision['path']}"
    if phase == "route":
        return f"`{decision['route']}`"
    if phase == "authenticate" and principal is None:
        return "public: nobody is asked"
    if phase == "authenticate":
        names = [principal["provider"], *(one["provider"] for one in decision["vouched"])]
        scopes = " ".join(principal["scopes"]) or "none"
        roles = " ".join(principal["roles"]) or "none"
        tenant = f", tenant {principal['tenant']}" if principal["tenant"] else ""
        return f"a {principal['kind']}, by {' and '.join(names)}; scopes: {scopes}; roles: {roles}{tenant}"
    if phase == "limit":
        return ", ".join(f"{limit['name']}: {limit['remaining']} left" for limit in decision["limits"])
    return ""


def _refused(phase: str, decision: dict[str, Any]) -> Iterator[str]:
    refusal = decision["refusal"] or {"reason": "internal", "title": "", "detail": None, "rule": None}
    yield _row(phase, "REFUSED", f"{refusal['reason']}: {refusal['title']}")
    if refusal["detail"]:
        yield _row("", "", refusal["detail"])
    for error in refusal.get("errors", ()):
        place = error.get("pointer") or error.get("parameter") or "the whole body"
        yield _row("", "", f"{place}: {error['detail']}")
    if refusal["rule"]:
        yield _row("", "", f"by the rule of {refusal['rule']}")
    if refusal.get("scope"):
        yield _row("", "", f"needed: {refusal['scope']}")
    if phase == "authenticate":
        for presented in decision["presented"]:
            yield _row("", "", "the token says, unverified:")
            for line in presented:
                yield _row("", "", f"  {line}")
        for accepted in decision["accepted"]:
            yield _row("", "", f"accepted: {accepted}")
    yield ""
    yield f"The client gets {decision['status']} `{refusal['reason']}`; what to do: docs/reasons.md#{refusal['reason']}"


def _row(phase: str, outcome: str, text: str) -> str:
    return f"{phase:<{_WIDTH}}{outcome:<9}{text}".rstrip()
