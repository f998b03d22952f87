"""What has to hold for a caller: rules, tenants and denials of two routes, conjunct by conjunct."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from yett.config.words import code
from yett.policy import needed
from yett.policy.diff import logic
from yett.policy.diff.change import Change, moves, narrows, unknown, widens

Document = dict[str, Any]
PARTS = {
    "source", "callers", "scopes", "roles", "permissions", "claims", "addresses", "times", "device", "when", "headers",
}  # fmt: skip


def rules(old: list[Document], new: list[Document], methods: list[str]) -> Iterator[Change]:
    """Rules that let in: every one has to."""
    for method in methods:
        before, after = logic.scope_clauses(old, method), logic.scope_clauses(new, method)
        where = f"scopes.{method}"
        if after is None:
            if before is not None:
                yield narrows(where, f"{method} is refused", _plain(before), None)
        elif before is None:
            yield widens(where, f"{method} is not refused any more", None, _plain(after))
        else:
            yield from _clauses(where, f"{method}: the scope", before, after)
    yield from _clauses("roles", "the role", logic.role_clauses(old), logic.role_clauses(new))
    yield from _clauses("callers", "the caller", logic.caller_clauses(old), logic.caller_clauses(new))
    yield from _claims(_claim_tests(old), _claim_tests(new))
    yield from _each("addresses", "the addresses", old, new, logic.inside)
    yield from _each("times", "the times", old, new, _windows)
    yield from _each("device", "what is asked of the device", old, new, logic.device_implies)
    yield from _conditions(old, new)
    yield from _strange("rules", "what else its rules ask for", old, new)


def _plain(clauses: list[logic.Clause]) -> list[list[str]]:
    return sorted(sorted(clause) for clause in clauses)


def _clauses(where: str, what: str, old: list[logic.Clause], new: list[logic.Clause]) -> Iterator[Change]:
    lost = [clause for clause in old if not logic.implied(clause, new)]
    won = [clause for clause in new if not logic.implied(clause, old)]
    if lost:
        said = []
        for clause in lost:
            wider = [other for other in new if clause < other]
            said.append(
                f"{_any(wider[0])} is enough, before {_any(clause)}"
                if wider
                else f"{_any(clause)} is not needed any more"
            )
        instead = f"; {' and '.join(_any(clause) for clause in won)} instead" if won else ""
        yield widens(where, f"{what} {' and '.join(said)}{instead}", _plain(old), _plain(new))
    elif won:
        names = " and ".join(_any(clause) for clause in won)
        yield narrows(where, f"{what} {names} is needed now", _plain(old), _plain(new))
    elif _plain(old) != _plain(new):
        yield moves(where, f"{what}: the same is asked for in other words", _plain(old), _plain(new))


def _any(clause: logic.Clause) -> str:
    return " or ".join(code(name) for name in sorted(clause)) or "nobody"


def _claim_tests(rules: list[Document]) -> list[tuple[str, Document]]:
    return [(claim["name"], claim["test"]) for rule in rules for claim in rule.get("claims", ())]


def _claims(old: list[tuple[str, Document]], new: list[tuple[str, Document]]) -> Iterator[Change]:
    for name, test in old:
        same = [other for claim, other in new if claim == name]
        if not any(logic.claim_implies(other, test) for other in same):
            now = f"{needed.claim(same[0])} now" if same else " does not matter any more"
            yield widens(
                f"claims.{name}", f"the claim {code(name)}{needed.claim(test)} before,{now}", test, same
            )
    for name, test in new:
        same = [other for claim, other in old if claim == name]
        if not any(logic.claim_implies(other, test) for other in same):
            text = f"the claim {code(name)}{needed.claim(test)} is needed"
            yield narrows(f"claims.{name}.more", text, same, test)


def _windows(new: list[Document], old: list[Document]) -> bool:
    return all(any(logic.within(one, other) for other in old) for one in new)


def _each(
    part: str, what: str, old: list[Document], new: list[Document], implies: Callable[[Any, Any], bool]
) -> Iterator[Change]:
    """A part of rules, of which each rule that has it has to hold."""
    before = [rule[part] for rule in old if rule.get(part)]
    after = [rule[part] for rule in new if rule.get(part)]
    lost = [one for one in before if not any(implies(other, one) for other in after)]
    won = [one for one in after if not any(implies(other, one) for other in before)]
    if lost:
        text = f"{what}: not shown to be as strict as before" if after else f"{what} do not matter any more"
        yield widens(part, text, before, after)
    elif won:
        yield narrows(part, f"{what} are restricted further", before, after)


def _conditions(old: list[Document], new: list[Document]) -> Iterator[Change]:
    before = [part for rule in old if rule.get("when") for part in logic.conjuncts(rule["when"])]
    after = [part for rule in new if rule.get("when") for part in logic.conjuncts(rule["when"])]
    lost = [part for part in before if part not in after]
    won = [part for part in after if part not in before]
    if lost:
        instead = f", instead {_quoted(won)}" if won else ""
        yield widens("when", f"that {_quoted(lost)} holds is not needed any more{instead}", before, after)
    elif won:
        yield narrows("when", f"that {_quoted(won)} holds is needed now", before, after)


def _quoted(parts: list[str]) -> str:
    return " and ".join(code(part) for part in parts)


def _strange(where: str, what: str, old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Parts that nothing here knows; which header fields conditions read; and where rules stand."""
    parts = [[_unknown(rule) for rule in these] for these in (old, new)]
    if any(any(one) for one in (*parts[0], *parts[1])) and parts[0] != parts[1]:
        yield unknown(where, what, *parts)
    fields = [sorted({name for rule in these for name in rule.get("headers", ())}) for these in (old, new)]
    if fields[0] != fields[1]:
        # what looks like a field that a condition reads is dropped; with fewer conditions, less is
        make = widens if set(fields[0]) - set(fields[1]) else moves
        yield make(f"{where}.headers", "conditions read other header fields", *fields)
    sources = [sorted(rule["source"] for rule in these) for these in (old, new)]
    if sources[0] != sources[1]:
        yield moves(f"{where}.source", "its rules stand elsewhere", *sources)


def _unknown(rule: Document) -> Document:
    """What of a rule nothing here knows."""
    found = {key: value for key, value in rule.items() if key not in PARTS}
    for part, known in (("device", logic.DEVICE), ("callers", logic.CALLERS)):
        found |= {f"{part}.{key}": value for key, value in (rule.get(part) or {}).items() if key not in known}
    for index, one in enumerate(rule.get("claims", ())):
        found |= {f"claims.{index}.{key}": value for key, value in one.items() if key not in {"name", "test"}}
    return found


def tenants(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Where requests name their tenant: each has to be the caller's."""
    before, after = [rule["from"] for rule in old], [rule["from"] for rule in new]
    lost, won = [one for one in before if one not in after], [one for one in after if one not in before]
    if lost:
        places = " and ".join(needed.place(one) for one in lost)
        yield widens("tenant", f"the tenant of {places} need not be the caller's any more", before, after)
    elif won:
        places = " and ".join(needed.place(one) for one in won)
        yield narrows("tenant", f"the tenant of {places} has to be the caller's", before, after)
    extras = [
        [{key: value for key, value in rule.items() if key not in {"source", "from"}} for rule in these]
        for these in (old, new)
    ]
    if any(any(one) for one in (*extras[0], *extras[1])) and extras[0] != extras[1]:
        yield unknown("tenant.more", "what else is said of tenants", *extras)
    sources = [sorted(rule["source"] for rule in these) for these in (old, new)]
    if sources[0] != sources[1]:
        yield moves("tenant.source", "the tenant is asked for elsewhere", *sources)


def _parts(rule: Document) -> dict[str, Any]:
    return {
        key: value
        for key, value in rule.items()
        if key not in {"source", "headers"} and (value or key not in PARTS)
    }


def deny(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """One that asks for less denies more; anything else counts as less denied."""

    def covers(mine: Document, theirs: Document) -> bool:
        wanted, asked = _parts(theirs), _parts(mine)
        known = asked.keys() | wanted.keys() <= PARTS
        return known and all(wanted.get(key) == value for key, value in asked.items())

    for rule in old:
        if not any(covers(other, rule) or other == rule for other in new):
            text = f"{code(rule['source'])} denies less, or nothing"
            yield widens(f"deny.{_label(rule)}", text, rule, new)
    for rule in new:
        if not any(covers(other, rule) or other == rule for other in old):
            yield narrows(f"deny.{_label(rule)}.more", f"{code(rule['source'])} denies", old, rule)
    sources = [
        sorted([rule["source"], *sorted(rule.get("headers", ()))] for rule in these) for these in (old, new)
    ]
    if sources[0] != sources[1]:
        yield moves("deny.source", "its denials stand elsewhere or read other header fields", *sources)


def _label(rule: Document) -> str:
    return str(rule["source"].rpartition("deny.")[2])
