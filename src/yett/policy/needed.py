"""What a caller lacks, in words: from a rule of the document and what the engine said of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.words import code, listed


def rules_of(route: dict[str, Any] | None) -> dict[str, list[dict[str, Any]]]:
    """The rules of a route by kind, in the order in which the engine judges them."""
    if route is None or not isinstance(route["access"], dict):
        return {"tenant": [], "deny": [], "rule": []}
    return {
        "tenant": route.get("tenants", []),
        "deny": route.get("deny", []),
        "rule": route["access"]["authenticated"]["rules"],
    }


def judged(
    route: dict[str, Any] | None, traced: list[dict[str, Any]] | None
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each rule of the document with what the engine said of it."""
    queues = {kind: iter(rules) for kind, rules in rules_of(route).items()}
    for one in traced or ():
        yield next(queues[one["kind"]]), one


def missing(route: dict[str, Any] | None, decision: dict[str, Any]) -> list[str]:
    """Everything that would have to be otherwise for this request to be allowed by the rules of its route."""
    found: list[str] = []
    principal = decision["principal"] or {}
    for rule, one in judged(route, decision.get("rules")):
        if one["kind"] == "tenant":
            if one["parts"][0]["outcome"] != "holds":
                found.append(
                    f"a request for the caller's own tenant ({place(rule['from'])}, by {one['source']})"
                )
        elif one["kind"] == "deny":
            if not any(part["outcome"] == "fails" for part in one["parts"]):
                found.append(f"that `{one['source']}` does not hold")
        else:
            found += [
                f"{lacked(rule, part['part'], decision, principal)} (by {one['source']})"
                for part in one["parts"]
                if part["outcome"] != "holds"
            ]
    return found


def place(source: dict[str, Any]) -> str:
    """Where a request names its tenant: `path.tenant`."""
    kind, name = next(iter(source.items()))
    return "its host" if kind == "host" else f"{kind}.{name}"


def lacked(rule: dict[str, Any], part: str, decision: dict[str, Any], principal: dict[str, Any]) -> str:
    """What one part of a rule asks for that is not there."""
    if part == "scopes":
        return _scopes(rule["scopes"], decision["request"]["method"], principal)
    if part in {"roles", "permissions"}:
        return _roles(rule[part], part)
    if part == "callers":
        return "a caller that is named there"
    if part == "addresses":
        return f"an address in {listed(rule['addresses'])}"
    if part == "times":
        return "another time: " + " or ".join(window(one) for one in rule["times"])
    if part == "device":
        return "a device that is in order"
    if part == "when":
        return f"that {code(rule['when'])} holds"
    name = part.removeprefix("claims.")
    tests = [claim["test"] for claim in rule["claims"] if claim["name"] == name]
    return f"the claim `{name}`{claim(tests[0]) if tests else ''}"


def _scopes(scopes: dict[str, Any], method: str, principal: dict[str, Any]) -> str:
    if "methods" in scopes:
        each = scopes["methods"].get("GET" if method == "HEAD" else method)
        if each is None:
            return "another method"
        scopes = each
    quantifier, names = next(iter(scopes.items()))
    held = set(principal.get("scopes", ()))
    wanted = [name for name in names if name not in held] if quantifier == "all_of" else names
    word = (
        "the scope" if len(wanted) == 1 else "the scopes" if quantifier == "all_of" else "one of the scopes"
    )
    return f"{word} {listed(wanted)}"


def _roles(sets: dict[str, Any], part: str) -> str:
    quantifier, items = next(iter(sets.items()))
    one = "the role" if part == "roles" else "a role that permits it:"
    each = [" or ".join(f"`{role}`" for role in item) for item in items]
    return f"{one} {(' and ' if quantifier == 'all_of' else ' or ').join(each)}"


def claim(test: dict[str, Any]) -> str:
    """What a claim has to be."""
    kind, value = next(iter(test.items()))
    if kind == "range":
        low, high = value.get("at_least"), value.get("at_most")
        bounds = [f"at least {low}"] if low is not None else []
        return " of " + " and ".join([*bounds, *([f"at most {high}"] if high is not None else [])])
    words = {
        "any_of": "that is one of", "none_of": "that is none of", "has_any": "with one of", "has_all": "with all of",
        "has_none": "with none of", "is": "that is", "numbers": "that is one of",
    }  # fmt: skip
    values = value if isinstance(value, list) else [str(value).lower()]
    return f" {words.get(kind, kind)} {listed(str(one) for one in values)}"


def window(times: dict[str, Any]) -> str:
    """`mon, tue 08:00-18:00 Europe/Berlin`"""
    days = ", ".join(("mon", "tue", "wed", "thu", "fri", "sat", "sun")[day] for day in times["days"])
    clock = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (times["from_min"], times["to_min"]))
    return f"{days} {clock} {times['zone']}"
