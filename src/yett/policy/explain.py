"""Why a request is let in or refused: each phase and its outcome, safe to paste (no token, no secret, no personal claim)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from yett.policy import near, needed, token
from yett.policy.engine import Engine, Question, shown

PHASES = (
    "receive",
    "screen",
    "route",
    "bots",
    "authenticate",
    "authorize",
    "limit",
    "validate",
    "authorize_body",
    "guard",
    "prepare",
)
"""In the order in which they decide; then the request is forwarded."""
_WIDTH = 14


def explain(engine: Engine, question: Question, unknown: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The decision, and what helps to understand it. `unknown` are parts of rules that read what the question lacks.

    Raises:
        yett.policy.engine.Unanswerable: the question is none.
    """
    # What an external check says is not known here: what follows is as if it agreed, and says so.
    question = replace(question, external=question.external or "allow")
    decision = engine.alone(question, trace=True)
    decision["request"] = {"method": question.method, "url": shown(question.url)}
    route = next((one for one in engine.routes if one["name"] == decision["route"]), None)
    decision["external"] = _external(route, question) if route and decision["external"] else None
    decision["missing"] = needed.missing(route, decision)
    decision["near"] = near.near(engine.document, decision, question.method) if route is None else []
    decision["route_takes"] = _takes(route) if route else None
    names = {name.lower() for name, _ in question.headers}
    decision["bot_unjudged"] = bool(route and route.get("bot_filter")) and "user-agent" not in names
    for one in decision.get("rules") or ():
        for part in one["parts"]:
            if part["part"].partition(".")[0] in unknown:
                part["outcome"] = "unknown"
    forward = decision.get("forward")
    if forward:
        # names only: values may be personal, or secrets of the service
        forward["headers"] = sorted({name for name, _ in forward["headers"]})
        forward["target"] = forward["target"].partition("?")[0]
    principal = decision.get("principal")
    if principal:
        principal["claims"] = sorted(principal["claims"])
        principal["subject"] = principal["token_id"] = principal["session"] = None
    for vouched in decision["vouched"]:
        vouched["claims"] = sorted(vouched["claims"])
        vouched["subject"] = vouched["token_id"] = vouched["session"] = None
    authorization = [value for name, value in question.headers if name.lower() == "authorization"]
    decision["presented"] = [token.describe(value, decision["time_ms"]) for value in authorization]
    decision["accepted"] = [accepts(provider) for provider in _accepted(engine, decision["route"])]
    return decision


def _takes(route: dict[str, Any]) -> str:
    group = f" of group {route['group']}" if route["group"] else ""
    return f"{' '.join(route['match']['methods'])} {route['match']['path']}{group}"


def _external(route: dict[str, Any], question: Question) -> dict[str, Any]:
    """What the external check of a route would be asked; it is not. Names only: values may be personal."""
    check = route["external_authorization"]
    endpoint, seen = check["endpoint"], {name.lower() for name, _ in question.headers}
    parts = urlsplit(endpoint["url"])
    grpc = check.get("protocol") == "grpc"
    path = "/envoy.service.auth.v3.Authorization/Check" if grpc else parts.path or "/"
    return {
        "asked": False,
        "source": check["source"],
        "protocol": "grpc" if grpc else "http",
        "url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
        "about": ["request", "connection", "route", *([] if route["access"] == "public" else ["principal"])],
        "headers": [name for name in check.get("headers", ()) if name in seen],
        "to_service": list(check.get("to_service", ())),
    }


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
    stopped, lacks = decision["phase"], decision.get("undecided")
    for phase in PHASES:
        if phase == stopped:
            break
        if phase not in {"bots", "authorize_body", "guard"}:
            yield _row(phase, "ok", _passed(phase, decision))
        if phase == "authorize":
            yield from _rules(decision)
            yield from _check(decision)
    if lacks:
        yield from _open(stopped, decision, lacks)
    elif decision["outcome"] == "allow":
        if decision["external"]:
            yield _row("", "", "what follows is so if the external check allows it; it has the last word")
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
    login = decision.get("login")
    if login:
        parts = ", ".join(f"{name} {points}" for name, points in login["parts"].items()) or "nothing known"
        yield _row("login", login["answer"], f"score {login['score']}: {parts}")
    bot = decision.get("bot")
    if bot:
        parts = (
            ", ".join(f"{name} {points}" for name, points in bot["signals"].items()) or "nothing against it"
        )
        yield _row("bot", bot["kind"], f"{bot['outcome']}, score {bot['score']}: {parts}")
    elif decision["bot_unjudged"]:
        yield _row(
            "bot",
            "not judged",
            "the question has no User-Agent, without which a request is a program's; add one with -H",
        )
    yield from _shadow(decision)


def _shadow(decision: dict[str, Any]) -> Iterator[str]:
    """What rules in shadow would have done."""
    for one in decision.get("shadow", ()):
        text = f"would have refused: {one['reason']}" if one["reason"] else "would have agreed"
        yield _row("shadow", one["outcome"], f"{one['rule']}: {text}; not enforced")


def _passed(phase: str, decision: dict[str, Any]) -> str:
    principal = decision["principal"]
    if phase == "screen":
        return _place(decision.get("geo"))
    if phase == "receive":
        return f"host {decision['host']}, path {decision['path']}"
    if phase == "route":
        return f"`{decision['route']}`: {decision['route_takes']}"
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


def _place(geo: dict[str, Any] | None) -> str:
    """What databases said of the address; nothing where there are none."""
    if geo is None:
        return ""
    kinds = [(key, geo[key]) for key in ("country", "continent", "asn", "hosting") if key in geo]
    shown = [f"{key} {str(value).lower() if isinstance(value, bool) else value}" for key, value in kinds]
    return ", ".join(shown) or "no database knows where the address is"


def _check(decision: dict[str, Any]) -> Iterator[str]:
    """What the external check would be asked."""
    check = decision["external"]
    if check is None:
        return
    verb = "call" if check["protocol"] == "grpc" else "POST"
    yield _row(
        "", "", f"external check of {check['source']}: not asked; a request would {verb} {check['url']}"
    )
    yield _row(
        "",
        "",
        f"  it would be told of {', '.join(check['about'])}; fields: {', '.join(check['headers']) or 'none'}",
    )
    yield _row("", "", f"  it may set for the service: {', '.join(check['to_service']) or 'nothing'}")


def _rules(decision: dict[str, Any]) -> Iterator[str]:
    """Each rule, in the order in which they decide, and what each of its parts came to."""
    for rule in decision.get("rules") or ():
        parts = ", ".join(f"{part['part']} {part['outcome']}" for part in rule["parts"])
        kind = "" if rule["kind"] == "rule" else f"{rule['kind']} "
        source = rule["source"] if rule["kind"] != "tenant" else f"tenant of {rule['source']}"
        yield _row("", "", f"{kind if rule['kind'] == 'deny' else ''}{source}: {parts}")


def _parts(refusal: dict[str, Any], geo: dict[str, Any] | None) -> Iterator[str]:
    """Which parts of the request are wrong, or where it came from."""
    if refusal["detail"]:
        yield _row("", "", refusal["detail"])
    for error in refusal.get("errors", ()):
        place = error.get("pointer") or error.get("parameter") or "the whole body"
        yield _row("", "", f"{place}: {error['detail']}")
    if refusal["reason"].startswith("geo_"):
        yield _row("", "", _place(geo))


def _open(phase: str, decision: dict[str, Any], lacks: list[str]) -> Iterator[str]:
    """What the log lacks decides: nothing is said as if it were known."""
    refusal = decision["refusal"]
    without = f"would be `{refusal['reason']}`" if refusal else "would be allowed"
    yield _row(phase, "UNKNOWN", f"this cannot be told from the log, which does not have {', '.join(lacks)}")
    if phase == "authorize":
        yield from _rules(decision)
    yield _row(
        "",
        "",
        f"without them it {without}; give what is missing to `yett explain` with the URL, `--principal` and `-H`",
    )


def _refused(phase: str, decision: dict[str, Any]) -> Iterator[str]:
    refusal = decision["refusal"] or {"reason": "internal", "title": "", "detail": None, "rule": None}
    yield _row(phase, "REFUSED", f"{refusal['reason']}: {refusal['title']}")
    yield from _parts(refusal, decision.get("geo"))
    if refusal["rule"]:
        yield _row("", "", f"by the rule of {refusal['rule']}")
    if refusal.get("scope"):
        yield _row("", "", f"needed: {refusal['scope']}")
    if phase == "authorize":
        yield from _rules(decision)
        if decision["missing"]:
            yield _row("", "", "it would be allowed with")
            yield from (_row("", "", f"  {one}") for one in decision["missing"])
    if phase == "route":
        for one in decision["near"]:
            yield _row("", "", f"near {one}")
    if phase == "authenticate":
        for presented in decision["presented"]:
            yield _row("", "", "the token says, unverified:")
            for line in presented:
                yield _row("", "", f"  {line}")
        for accepted in decision["accepted"]:
            yield _row("", "", f"accepted: {accepted}")
    yield ""
    if refusal.get("hidden"):
        yield f"The client gets {decision['status']}, as where nothing is; the log has the reason"
        return
    yield f"The client gets {decision['status']} `{refusal['reason']}`; what to do: docs/reasons.md#{refusal['reason']}"


def _row(phase: str, outcome: str, text: str) -> str:
    return f"{phase:<{_WIDTH - 1}} {outcome:<9}{text}".rstrip()
