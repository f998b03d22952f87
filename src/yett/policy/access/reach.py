"""The access map: each route and method, and which classes of callers reach it on what condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from yett.policy import needed
from yett.policy.access.classes import Class, Classes
from yett.policy.access.sample import Samples, methods
from yett.policy.engine import Engine, Question

BATCH = 2_000
# Parts of rules that depend on more than who calls.
CONDITIONS = {"claims", "addresses", "times", "device", "when"}
FURTHER = {
    "insufficient_user_authentication": "a strong and recent enough login",
    "login_unreadable": "an account that it names",
    "not_bound": "a token that is bound to a key",
    "proof_missing": "a token that is bound to a key",
    "client_certificate_required": "a client certificate",
    "external_unavailable": "the external check allows it",
    "api_key_address_forbidden": "an address of the key's own",
    "identity_provider_unavailable": "the issuer confirms it",
}


@dataclass(frozen=True)
class Cell:
    """What becomes of a class of callers on one route and method."""

    reaches: bool
    conditions: tuple[str, ...] = ()
    reason: str | None = None


@dataclass
class Row:
    """One route, and methods for which the same holds."""

    route: str
    group: str | None
    path: str
    hosts: list[str]
    listeners: list[str]
    methods: list[str]
    tenant: str | None
    """Where requests name the tenant that has to be the caller's."""
    cells: dict[Class, Cell] = field(default_factory=dict)

    def who(self) -> list[tuple[Class, Cell]]:
        """Those who reach it, without classes that only have more than they need."""
        able = [(one, cell) for one, cell in self.cells.items() if cell.reaches]
        return [
            (one, cell)
            for one, cell in able
            if not any(
                other is not one and one.within(other) and set(weaker.conditions) <= set(cell.conditions)
                and not (other.within(one) and able.index((one, cell)) < able.index((other, weaker)))
                for other, weaker in able
            )
        ]  # fmt: skip


@dataclass
class Access:
    """The whole map."""

    classes: list[Class]
    rows: list[Row]
    truncated: bool = False


def build(engine: Engine) -> Access:
    """Asks about every class, route and method."""
    classes = Classes(engine.document)
    samples = Samples(engine.document)
    routes = engine.routes
    wanted: list[tuple[int, str, Class]] = []
    asked: list[dict[str, Any]] = []
    for index, route in enumerate(routes):
        accepted = _accepted(route)
        for method in methods(route):
            for one in classes.all:
                if one.provider is not None and one.provider not in accepted:
                    continue
                tenant = classes.tenant(one)
                question = samples.question(route, method, tenant, classes.principals(one, tenant))
                wanted.append((index, method, one))
                asked.append(_traced(engine, question))
    cells: dict[tuple[int, str], dict[Class, Cell]] = {}
    for (index, method, one), decision in zip(wanted, _decide(engine, asked), strict=True):
        filters = engine.addresses.get(routes[index]["name"], ())
        cells.setdefault((index, method), {})[one] = cell(routes[index], method, decision, filters)
    return Access(classes.all, list(_rows(routes, cells)), classes.truncated)


def _accepted(route: dict[str, Any]) -> set[str]:
    access = route["access"]
    return set(access["authenticated"]["providers"]) if isinstance(access, dict) else set()


def _decide(engine: Engine, asked: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(asked), BATCH):
        yield from engine.decide_many(asked[start : start + BATCH])


def _traced(engine: Engine, question: Question) -> dict[str, Any]:
    return {**engine.asked(question), "trace": True}


def _of_bodies(route: dict[str, Any]) -> tuple[str, ...]:
    """What is asked of a body, which samples have none of."""
    rules = needed.rules_of(route)
    read = [rule["when"] for rule in rules["rule"] if "request.body" in (rule.get("when") or "")]
    denied = [rule["source"] for rule in rules["deny"] if "request.body" in (rule.get("when") or "")]
    named = [needed.place(rule["from"]) for rule in rules["tenant"] if "body" in rule["from"]]
    return (
        "a request that its validation takes",
        *(f"that `{one}` holds" for one in read),
        *(f"that `{one}` does not hold" for one in denied),
        *(f"its tenant in {one}" for one in named),
    )


def cell(route: dict[str, Any], method: str, decision: dict[str, Any], filters: Iterable[str] = ()) -> Cell:
    """What a decision says of access. `filters` are those of addresses, which nobody asked."""
    found = _cell(route, method, decision)
    where = tuple(f"an address that {source} lets in" for source in filters)
    return replace(found, conditions=(*found.conditions, *where)) if found.reaches else found


def _cell(route: dict[str, Any], method: str, decision: dict[str, Any]) -> Cell:
    if "error" in decision:
        return Cell(False, reason=decision["error"])
    if decision["refusal"] is None:
        return Cell(decision["route"] == route["name"], reason=None)
    reason = str(decision["refusal"]["reason"])
    if decision["route"] != route["name"]:
        return Cell(False, reason=reason)
    if decision["phase"] in {"validate", "authorize_body"}:
        # the head of the request got through
        return Cell(True, _of_bodies(route))
    if reason in FURTHER:
        return Cell(True, (FURTHER[reason],))
    if not decision.get("rules"):
        return Cell(False, reason=reason)
    conditions: list[str] = []
    asked = {**decision, "request": {"method": method}}
    for rule, one in needed.judged(route, decision["rules"]):
        if one["kind"] == "deny":
            if not any(part["outcome"] == "fails" for part in one["parts"]):
                conditions.append(f"`{one['source']}` does not hold")
            continue
        for part in one["parts"]:
            if part["outcome"] == "holds":
                continue
            if one["kind"] == "tenant" or part["part"].partition(".")[0] not in CONDITIONS:
                return Cell(False, reason=reason)
            conditions.append(needed.lacked(rule, part["part"], asked, decision["principal"] or {}))
    return Cell(bool(conditions), tuple(conditions), None if conditions else reason)


def _rows(routes: list[dict[str, Any]], cells: dict[tuple[int, str], dict[Class, Cell]]) -> Iterator[Row]:
    for index, route in enumerate(routes):
        rows: list[Row] = []
        tenants = [needed.place(rule["from"]) for rule in route.get("tenants", ())]
        for method in methods(route):
            own = cells.get((index, method), {})
            same = next((row for row in rows if row.cells == own), None)
            if same is not None:
                same.methods.append(method)
                continue
            match = route["match"]
            row = Row(
                route["name"], route["group"], match["path"], match["hosts"] or ["any"], route["listeners"], [method],
                tenants[0] if tenants else None, own,
            )  # fmt: skip
            rows.append(row)
        yield from rows


def of_caller(
    engine: Engine,
    principals: Iterable[dict[str, Any]] = (),
    headers: tuple[tuple[str, str], ...] = (),
) -> tuple[dict[str, Any] | None, list[Row]]:
    """All that one caller could reach; and who it is, as far as some route says it."""
    samples = Samples(engine.document)
    given = tuple(principals)
    caller = Class(None)

    def ask(tenant: str) -> tuple[list[tuple[int, str]], list[dict[str, Any]]]:
        places = [(index, method) for index, route in enumerate(engine.routes) for method in methods(route)]
        asked = [
            _traced(engine, samples.question(engine.routes[index], method, tenant, given, headers))
            for index, method in places
        ]
        return places, list(_decide(engine, asked))

    places, decisions = ask("acme")
    known = next((one["principal"] for one in decisions if one.get("principal")), None)
    if known and known["tenant"] and known["tenant"] != "acme":
        places, decisions = ask(known["tenant"])
    cells = {
        (index, method): {
            caller: cell(
                engine.routes[index], method, decision, engine.addresses.get(engine.routes[index]["name"], ())
            )
        }
        for (index, method), decision in zip(places, decisions, strict=True)
    }
    return known, list(_rows(engine.routes, cells))
