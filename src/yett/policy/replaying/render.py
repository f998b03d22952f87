"""What a replay found, for people and pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.words import code
from yett.policy.markdown import cell

MOST = 20
"""Groups and kinds that are shown; `--format json` has all."""
KINDS = {"allow_to_deny": ("CLOSES", "allowed", "refused"), "deny_to_allow": ("OPENS", "refused", "allowed")}
NOT_ASKED = "limits, validation of bodies and answers of services are not replayed, and no credential is verified again"


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Each group of flips, what cannot be decided, what is damaged, and the counts."""
    for group in found["groups"][:MOST]:
        yield f"{KINDS[group['flip']][0]:<7} {group['count']} x {_what(group)}"
        for example in group["examples"]:
            yield f"        line {example['line']}: {_example(example)}"
    yield from _more(len(found["groups"]), "groups of flips")
    for why in found["why"][:MOST]:
        yield f"UNDECIDABLE {why['count']} x not recorded or not the same here: {why['lacks']} (line {why['line']})"
    yield from _more(len(found["why"]), "kinds of what is undecidable")
    for fault in found["damage"][:MOST]:
        yield f"DAMAGED line {fault['line']}: {fault['what']}"
    yield from _more(found["damaged"], "damaged lines")
    if found["groups"] or found["why"] or found["damage"]:
        yield ""
    yield summary(found)
    yield NOT_ASKED


def _more(count: int, what: str) -> Iterator[str]:
    if count > MOST:
        yield f"        and {count - MOST} more {what}"


def summary(found: dict[str, Any]) -> str:
    """`1200 lines: 1100 as before, 20 allow to deny, 5 deny to allow, 75 undecidable, 0 damaged`"""
    same, flips = found["same"], found["flips"]
    return (
        f"{found['lines']} lines: {same['allow'] + same['deny']} as before, {flips['allow_to_deny']} allow to deny, "
        f"{flips['deny_to_allow']} deny to allow, {found['undecidable']} undecidable, {found['damaged']} damaged"
    )


def _what(group: dict[str, Any]) -> str:
    _, before, now = KINDS[group["flip"]]
    old, new = group["route"], group["route_now"]
    where = (
        f"route {code(new or old)}"
        if old is None or new is None or old == new
        else f"route {code(old)}, now {code(new)}"
    )
    by = f" by {group['rule']}" if group["rule"] else ""
    reason = f" (`{group['reason']}`{by})" if group["reason"] else ""
    if group["flip"] == "deny_to_allow":
        return f"{where}, {group['caller']}: {before}{reason} before, {now} now"
    return f"{where}, {group['caller']}: {before} before, {now} now{reason}"


def _example(example: dict[str, Any]) -> str:
    request = f", request {example['request_id']}" if example["request_id"] else ""
    return f"{example['method']} {example['host']}{example['path'] or ''} at {example['time']}{request}"


def markdown(found: dict[str, Any]) -> Iterator[str]:
    """A comment for a pull request."""
    flips = found["flips"]
    total = flips["allow_to_deny"] + flips["deny_to_allow"]
    verdict = f"{total} of {found['lines']} requests would be decided otherwise"
    yield f"### Replay: **{verdict if total else 'no decision changes'}**"
    yield ""
    yield f"{summary(found)}; from {found['from'] or 'never'} to {found['to'] or 'never'}."
    if found["groups"]:
        yield ""
        yield "| | count | what | example |"
        yield "|---|---:|---|---|"
    for group in found["groups"][:MOST]:
        mark = "**opens**" if group["flip"] == "deny_to_allow" else "closes"
        shown = cell(_example(group["examples"][0])) if group["examples"] else ""
        yield f"| {mark} | {group['count']} | {cell(_what(group))} | {shown} |"
    for title, key in (("Undecidable", "why"), ("Damaged", "damage")):
        if found[key]:
            yield ""
            yield f"{title}:"
            yield ""
        for one in found[key][:MOST]:
            text = (
                f"{one['count']} x {one['lacks']} (line {one['line']})"
                if key == "why"
                else f"line {one['line']}: {one['what']}"
            )
            yield f"- {cell(text)}"
    yield ""
    yield f"{NOT_ASKED[0].upper()}{NOT_ASKED[1:]}."
