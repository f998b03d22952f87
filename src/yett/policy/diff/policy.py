"""Who may use a route: the policies of two routes, conjunct by conjunct."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.base import listed
from yett.policy import needed
from yett.policy.diff import logic
from yett.policy.diff.change import Change, bound, flag, moves, narrows, widens

Document = dict[str, Any]
FIELDS = (
    "access", "tenants", "deny", "external_authorization", "client_certificate", "sender_constrained", "live_check",
    "assurance", "address_limits", "rate_limits", "body_limit", "websocket", "response_tenant", "classification", "hidden",
)  # fmt: skip


def compare(old: Document, new: Document, kinds: dict[str, str]) -> Iterator[Change]:
    """Everything that decides who gets in and with how much. `kinds` are the types of providers by name."""
    yield from _access(old, new, kinds)
    yield from _tenants(old.get("tenants", []), new.get("tenants", []))
    yield from _deny(old.get("deny", []), new.get("deny", []))
    yield from _external(old.get("external_authorization"), new.get("external_authorization"))
    yield from flag(
        "client_certificate", "a client certificate is needed now", "no client certificate is needed any more",
        bool(old.get("client_certificate")), bool(new.get("client_certificate")),
    )  # fmt: skip
    yield from _bound_tokens(old.get("sender_constrained"), new.get("sender_constrained"))
    yield from _live(old.get("live_check"), new.get("live_check"))
    yield from _assurance(old.get("assurance"), new.get("assurance"))
    for key in ("address_limits", "rate_limits"):
        yield from limits(key, old[key], new[key])
    yield from bound("body", "the largest body of a request", old["body_limit"], new["body_limit"], " bytes")
    if old.get("websocket") != new.get("websocket"):
        text = (
            "what is asked of WebSocket connections is different, and it cannot be shown that nothing widens"
        )
        yield widens("websocket", text, old.get("websocket"), new.get("websocket"))
    if old.get("response_tenant") != new.get("response_tenant"):
        loose = old.get("response_tenant") is not None
        text = "the tenant of answers is checked " + ("otherwise or not at all" if loose else "now")
        yield (widens if loose else narrows)(
            "response_tenant", text, old.get("response_tenant"), new.get("response_tenant")
        )
    yield from _facts(old, new)


def _rules(route: Document) -> list[Document]:
    return needed.rules_of(route)["rule"]


def _access(old: Document, new: Document, kinds: dict[str, str]) -> Iterator[Change]:
    before, after = old["access"], new["access"]
    if not isinstance(after, dict):
        if isinstance(before, dict):
            yield widens("access", "it is open to anyone now", before, after)
        return
    if not isinstance(before, dict):
        yield narrows("access", "it is not open to anyone any more", before, after)
        return
    yield from providers(before["authenticated"], after["authenticated"], kinds)
    yield from rules(_rules(old), _rules(new), new["match"]["methods"])


def providers(old: Document, new: Document, kinds: dict[str, str]) -> Iterator[Change]:
    """Who vouches."""
    before, after = old["providers"], new["providers"]
    if bool(old.get("all_of")) != bool(new.get("all_of")) and max(len(before), len(after)) > 1:
        text = "whether one provider or each has to vouch is different; requests with several credentials were refused"
        yield widens("authenticate", text, old, new)
        return
    if new.get("all_of") and before != after:
        yield widens("authenticate", f"others have to vouch together: {listed(after)}", before, after)
        return
    added, removed = set(after) - set(before), set(before) - set(after)
    if added:
        yield widens("authenticate", f"callers of {listed(sorted(added))} are accepted, too", before, after)
    if removed:
        why = _takes_over(removed, set(after), kinds)
        text = f"callers of {listed(sorted(removed))} are not accepted any more"
        if why:
            yield widens("authenticate.less", f"{text}, but {why}", before, after)
        else:
            yield narrows("authenticate.less", text, before, after)


def _takes_over(removed: set[str], left: set[str], kinds: dict[str, str]) -> str | None:
    """Why a credential that one provider refused may now be judged by another one."""
    gone = {kinds.get(name) for name in removed}
    stay = [kinds.get(name) for name in left]
    if "introspection" in stay and gone & {"jwt", "introspection", "client_assertion"}:
        return "their tokens are asked about elsewhere"
    if "oidc" in gone and ("mtls" in stay or "oidc" in stay):
        return "requests with a broken session count by what else they have"
    if ("mtls" in gone and "mtls" in stay) or ("signed_request" in gone and "signed_request" in stay):
        return "what two of them knew was ambiguous"
    return None


def rules(old: list[Document], new: list[Document], methods: list[str]) -> Iterator[Change]:
    """What has to hold."""
    for method in methods:
        before, after = logic.scope_clauses(old, method), logic.scope_clauses(new, method)
        if after is None:
            if before is not None:
                yield narrows(f"scopes.{method}", f"{method} is refused", before, after)
            continue
        if before is None:
            yield widens(f"scopes.{method}", f"{method} is not refused any more", before, _plain(after))
            continue
        yield from _clauses(f"scopes.{method}", f"{method}: the scope", before, after)
    yield from _clauses("roles", "the role", logic.role_clauses(old), logic.role_clauses(new))
    yield from _clauses("callers", "the caller", logic.caller_clauses(old), logic.caller_clauses(new))
    yield from _claims(_claim_tests(old), _claim_tests(new))
    yield from _each("addresses", "the addresses", old, new, logic.inside)
    yield from _each("times", "the times", old, new, _windows)
    yield from _each("device", "what is asked of the device", old, new, logic.device_implies)
    yield from _conditions(old, new)


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


def _any(clause: logic.Clause) -> str:
    return " or ".join(f"`{name}`" for name in sorted(clause))


def _claim_tests(rules: list[Document]) -> list[tuple[str, Document]]:
    return [(claim["name"], claim["test"]) for rule in rules for claim in rule.get("claims", ())]


def _claims(old: list[tuple[str, Document]], new: list[tuple[str, Document]]) -> Iterator[Change]:
    for name, test in old:
        same = [other for claim, other in new if claim == name]
        if not any(logic.claim_implies(other, test) for other in same):
            now = f"{needed.claim(same[0])} now" if same else " does not matter any more"
            yield widens(f"claims.{name}", f"the claim `{name}`{needed.claim(test)} before,{now}", test, same)
    for name, test in new:
        same = [other for claim, other in old if claim == name]
        if not any(logic.claim_implies(other, test) for other in same):
            yield narrows(
                f"claims.{name}.more", f"the claim `{name}`{needed.claim(test)} is needed", same, test
            )


def _windows(new: list[Document], old: list[Document]) -> bool:
    return all(any(logic.within(one, other) for other in old) for one in new)


def _each(part: str, what: str, old: list[Document], new: list[Document], implies: Any) -> Iterator[Change]:
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
    return " and ".join(f"`{part}`" for part in parts)


def _tenants(old: list[Document], new: list[Document]) -> Iterator[Change]:
    before, after = [rule["from"] for rule in old], [rule["from"] for rule in new]
    lost, won = [one for one in before if one not in after], [one for one in after if one not in before]
    if lost:
        places = " and ".join(needed.place(one) for one in lost)
        yield widens("tenant", f"the tenant of {places} need not be the caller's any more", before, after)
    elif won:
        places = " and ".join(needed.place(one) for one in won)
        yield narrows("tenant", f"the tenant of {places} has to be the caller's", before, after)


def _parts(rule: Document) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in {"source", "headers"} and value}


def _deny(old: list[Document], new: list[Document]) -> Iterator[Change]:
    """One that asks for less denies more; anything else counts as less denied."""

    def covers(mine: Document, theirs: Document) -> bool:
        wanted = _parts(theirs)
        return all(wanted.get(key) == value for key, value in _parts(mine).items())

    for rule in old:
        if not any(covers(other, rule) for other in new):
            yield widens(
                f"deny.{rule['source'].rpartition('deny.')[2]}",
                f"`{rule['source']}` denies less, or nothing",
                rule,
                new,
            )
    for rule in new:
        if not any(covers(other, rule) for other in old):
            yield narrows(
                f"deny.{rule['source'].rpartition('deny.')[2]}.more", f"`{rule['source']}` denies", old, rule
            )


def _external(old: Document | None, new: Document | None) -> Iterator[Change]:
    ignored = {"source", "timeout_ms"}
    before, after = (
        {key: value for key, value in (one or {}).items() if key not in ignored} for one in (old, new)
    )
    if before == after:
        return
    if not before:
        yield narrows("external_authorization", "an external check has to agree", old, new)
    else:
        text = (
            "the external check is gone"
            if not after
            else "another external check is asked, or asked otherwise"
        )
        yield widens("external_authorization", text, old, new)


def _bound_tokens(old: str | None, new: str | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or (old == "any" and new is not None):
        yield narrows("sender_constrained", f"tokens have to be bound: {new}", old, new)
    else:
        yield widens(
            "sender_constrained", f"tokens had to be bound ({old}), now {new or 'not at all'}", old, new
        )


def _live(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        make, text = (
            (narrows, "is confirmed by its issuer")
            if old is None
            else (widens, "is not confirmed by its issuer any more")
        )
        yield make("live_check", f"the credential {text}", old, new)
    elif old.get("provider") == new.get("provider"):
        yield from bound(
            "live_check.max_age", "the age of an issuer's word", old["max_age_ms"], new["max_age_ms"], " ms"
        )
    else:
        yield widens("live_check", "somebody else confirms credentials", old, new)


def _assurance(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None:
        yield narrows("assurance", "a stronger or more recent login is needed", old, new)
        return
    acr, before = (new or {}).get("acr") or [], old.get("acr") or []
    age, older = (new or {}).get("max_age_s"), old.get("max_age_s")
    strict = (not before or (acr and set(acr) <= set(before))) and (
        older is None or (age is not None and age <= older)
    )
    make, text = (narrows, "a stronger or more recent") if new and strict else (widens, "a weaker or older")
    yield make("assurance", f"{text} login is asked for", old, new)


def limits(where: str, old: list[Document], new: list[Document]) -> Iterator[Change]:
    """Rates and bursts, by name and where they are counted."""
    known = {(one["name"], one["scope"], one["key"]): one for one in new}
    before = {(one["name"], one["scope"], one["key"]): one for one in old}
    for key, one in before.items():
        other = known.get(key)
        if other is None:
            yield widens(
                f"{where}.{key[0]}", f"the limit `{key[0]}` ({key[1]}, by {key[2]}) is gone", one, None
            )
            continue
        slower = one["period_ms"] * other["count"] <= other["period_ms"] * one["count"]
        if any(one[part] != other[part] for part in ("count", "period_ms", "burst")):
            less = slower and other["burst"] <= one["burst"]
            text = f"the limit `{key[0]}`: {_pace(one)} before, {_pace(other)} now"
            yield (narrows if less else widens)(f"{where}.{key[0]}", text, one, other)
    for key, one in known.items():
        if key not in before:
            yield narrows(f"{where}.{key[0]}.more", f"the limit `{key[0]}`: {_pace(one)}", None, one)


def _pace(limit: Document) -> str:
    return f"{limit['count']} in {limit['period_ms'] / 1000:g} s, burst {limit['burst']}"


def _facts(old: Document, new: Document) -> Iterator[Change]:
    """What conditions may read of a route beside the request."""
    changed = [key for key in ("name", "group", "classification") if old.get(key) != new.get(key)]
    reads = [
        rule["when"] for rule in [*_rules(new), *new.get("deny", [])] if "route" in (rule.get("when") or "")
    ]
    if changed and reads:
        text = f"{listed(changed)} of the route is different, and a condition may read it"
        yield widens("facts", text, [old.get(key) for key in changed], [new.get(key) for key in changed])
    elif old.get("classification") != new.get("classification"):
        yield moves(
            "classification",
            "its data is classified otherwise",
            old.get("classification"),
            new.get("classification"),
        )
    if bool(old.get("hidden")) != bool(new.get("hidden")):
        yield moves(
            "hidden",
            "who is refused sees " + ("that it is there" if old.get("hidden") else "nothing of it"),
            old.get("hidden"),
            new.get("hidden"),
        )
