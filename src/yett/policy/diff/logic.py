"""Whether one condition implies another: conjunct by conjunct, on what the document says and nothing else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

Clause = frozenset[str]
"""Alternatives, one of which is needed."""


def scope_clauses(rules: list[dict[str, Any]], method: str) -> list[Clause] | None:
    """What scopes are needed for a method: one of each clause. Nothing where the method is refused."""
    clauses: list[Clause] = []
    for rule in rules:
        scopes = rule.get("scopes")
        if not scopes:
            continue
        quantifier, names = next(iter(scopes.items()))
        if quantifier == "methods":
            each = names.get("GET" if method == "HEAD" else method)
            if each is None:
                return None
            quantifier, names = next(iter(each.items()))
        clauses += [frozenset(names)] if quantifier == "any_of" else [frozenset([name]) for name in names]
    return clauses


def role_clauses(rules: list[dict[str, Any]]) -> list[Clause]:
    """What roles are needed, for roles and permissions: one of each clause."""
    clauses: list[Clause] = []
    for rule in rules:
        for part in ("roles", "permissions"):
            if rule.get(part):
                quantifier, items = next(iter(rule[part].items()))
                sets = [frozenset(item) for item in items]
                clauses += [frozenset().union(*sets)] if quantifier == "any_of" else sets
    return clauses


CALLERS = ("users", "clients", "keys", "spiffe")


def caller_clauses(rules: list[dict[str, Any]]) -> list[Clause]:
    """Which callers are named: one of each clause."""
    return [
        frozenset(f"{kind}: {name}" for kind in CALLERS for name in rule["callers"].get(kind, ()))
        for rule in rules
        if rule.get("callers")
    ]


def implied(clause: Clause, by: list[Clause]) -> bool:
    """Whether who has one of each of `by` has one of the clause."""
    return any(other <= clause for other in by)


def inside(networks: list[str], outer: list[str]) -> bool:
    """Whether every network lies in one of the outer ones."""
    wide = [ipaddress.ip_network(one) for one in outer]
    return all(
        any(one.version == other.version and one.subnet_of(other) for other in wide)  # type: ignore[arg-type]
        for one in map(ipaddress.ip_network, networks)
    )


def within(window: dict[str, Any], outer: dict[str, Any]) -> bool:
    """Whether a time of the week lies in another one."""
    if window == outer:
        return True
    over_midnight = any(one["to_min"] <= one["from_min"] for one in (window, outer))
    return (
        not over_midnight
        and window["zone"] == outer["zone"]
        and set(window["days"]) <= set(outer["days"])
        and window["from_min"] >= outer["from_min"]
        and window["to_min"] <= outer["to_min"]
    )


def claim_implies(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether a test of a claim lets through only what another one does."""
    if new == old:
        return True
    (one, mine), (other, theirs) = next(iter(new.items())), next(iter(old.items()))
    if one == other:
        if one in {"any_of", "numbers", "has_any"}:
            return set(mine) <= set(theirs)
        if one in {"none_of", "has_all", "has_none"}:
            return set(mine) >= set(theirs)
    if one in {"range", "numbers"} and other == "range":
        return all(_in_range(low, high, theirs) for low, high in _ranges(one, mine))
    return (one, other) == ("any_of", "none_of") and not set(mine) & set(theirs)


def _ranges(kind: str, value: Any) -> Iterator[tuple[float, float]]:
    if kind == "numbers":
        yield from ((number, number) for number in value)
    else:
        low, high = value.get("at_least"), value.get("at_most")
        yield (float("-inf") if low is None else low, float("inf") if high is None else high)


def _in_range(low: float, high: float, outer: dict[str, Any]) -> bool:
    least, most = outer.get("at_least"), outer.get("at_most")
    return (least is None or low >= least) and (most is None or high <= most)


DEVICE = ("posture", "age_ms", "certificate")


def device_implies(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether what is asked of a device is at least what was."""
    posture, before = new.get("posture") or [], old.get("posture") or []
    age, older = new.get("age_ms"), old.get("age_ms")
    return (
        (not before or (bool(posture) and set(posture) <= set(before)))
        and (older is None or (age is not None and age <= older))
        and (not old.get("certificate") or bool(new.get("certificate")))
    )


def conjuncts(condition: str) -> list[str]:
    """The parts of a condition that `&&` joins at the top; the whole where `||` or `?` binds less, or where a comment may
    take some of it away.

    In CEL `a && b` is true only where both are, whatever fails.
    """
    parts, start, depth, at = [], 0, 0, 0
    while at < len(condition):
        character = condition[at]
        if character in "\"'":
            end = _string_end(condition, at)
            if end is None:
                return [_plain(condition)]
            at = end
            continue
        if condition.startswith("//", at):
            return [_plain(condition)]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and (character == "?" or condition.startswith("||", at)):
            return [_plain(condition)]
        elif depth == 0 and condition.startswith("&&", at):
            parts.append(condition[start:at])
            at += 2
            start = at
            continue
        at += 1
    parts.append(condition[start:])
    return [_plain(part) for part in parts]


def _string_end(text: str, at: int) -> int | None:
    """Behind a string; nothing where it is not read here (raw strings, three quotes)."""
    quote = text[at]
    if text.startswith(quote * 3, at) or (at > 0 and text[at - 1].isalpha()):
        return None
    here = at + 1
    while here < len(text):
        if text[here] == "\\":
            here += 2
            continue
        if text[here] == quote:
            return here + 1
        here += 1
    return None


def _plain(text: str) -> str:
    return text.strip()
