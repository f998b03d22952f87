"""What becomes of requests that a route lets in: the effects of two routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff import answers
from yett.policy.diff.change import Change, at, fits, moved, moves, narrows, quoted, unknown, widens

Document = dict[str, Any]
ACTION = {
    "forward": [{"service": None, "weight": None}],
    "redirect": {"status": None, "location": None, "scheme": None, "host": None, "path": None},
    "respond": {"status": None, "content_type": None, "body": None},
}
TIMEOUTS = {"connect_ms": None, "first_byte_ms": None, "idle_ms": None, "total_ms": None}
EDITS = ("remove", "set", "add")
HARMLESS = ("early_hints", "unlisted")
FIELDS = (
    "action", "rewrite", "request_headers", "response_headers", "security_headers", "response_validation", "mirror", "timeouts",
    "priority", *HARMLESS,
)  # fmt: skip
# Fields of answers by which browsers and caches let others see, frame or keep what was answered.
TELLING = (
    "accept-ch", "access-control-", "activate-storage-access", "alt-svc", "attribution-reporting-",
    "authentication-info", "cache-control", "clear-site-data", "content-disposition", "content-location",
    "content-security-policy", "content-type", "critical-ch", "cross-origin-", "document-policy", "edge-control",
    "expect-ct", "expires", "integrity-policy", "link", "location", "nel", "observe-browsing-topics",
    "origin-agent-cluster", "permissions-policy", "pragma", "proxy-authenticate", "referrer-policy", "refresh",
    "report-to", "reporting-endpoints", "require-document-policy", "service-worker-allowed", "set-cookie",
    "set-login", "sourcemap", "speculation-rules", "strict-transport-security", "supports-loading-mode",
    "surrogate-control", "timing-allow-origin", "vary", "www-authenticate", "x-accel-", "x-content-security-policy",
    "x-content-type-options", "x-dns-prefetch-control", "x-download-options", "x-frame-options",
    "x-permitted-cross-domain-policies", "x-robots-tag", "x-sendfile", "x-sourcemap", "x-xss-protection",
)  # fmt: skip
CACHES = "cache-control"
"""The end of names that speak to one kind of cache (RFC 9213): `cdn-cache-control`."""
PRIORITIES = ("low", "normal", "high", "critical")


def compare(old: Document, new: Document, sheds: bool = True) -> Iterator[Change]:
    """Every difference. `sheds`: whether the old configuration refuses anything under load."""
    yield from _action(old["action"], new["action"])
    for key, text in (("rewrite", "the service sees another path"), ("request_headers", "the service sees other header fields")):  # fmt: skip
        if old[key] != new[key]:
            yield widens(key, text, old[key], new[key])
    yield from _answers(old["response_headers"], new["response_headers"])
    before, after = old.get("security_headers"), new.get("security_headers")
    if before != after:
        make = narrows if before is None else widens
        yield make("security_headers", "browsers are told other things", before, after)
    validated = old.get("response_validation"), new.get("response_validation")
    yield from at("response_validation", answers.compare(*validated))
    yield from _mirror(old.get("mirror"), new.get("mirror"))
    yield from moved("timeouts", "it has other time limits", old["timeouts"], new["timeouts"], TIMEOUTS)
    yield from _priority(old.get("priority", "normal"), new.get("priority", "normal"), sheds)
    for key in HARMLESS:
        yield from moved(key, f"`{key}` is different", old.get(key), new.get(key), None)


def _action(old: Document, new: Document) -> Iterator[Change]:
    if old == new:
        return
    before, after = ({one["service"] for one in action.get("forward", [])} for action in (old, new))
    if not fits(old, ACTION) or not fits(new, ACTION):
        yield unknown("action", "what becomes of allowed requests", old, new)
    elif after - before:
        yield widens("service", f"requests reach {quoted(after - before)}", old, new)
    elif before - after and after:
        text = f"requests do not reach {quoted(before - after)} any more"
        yield narrows("service", text, old, new)
    else:
        yield moves("action", "what becomes of allowed requests is different", old, new)


def _mirror(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if new is None:
        yield narrows("mirror", "no service gets copies any more", old, new)
    elif old and {**old, "share": new["share"]} == new and new["share"] < old["share"]:
        yield narrows("mirror", f"`{new['service']}` gets fewer copies", old, new)
    else:
        yield widens("mirror", f"`{new['service']}` gets copies", old, new)


def _priority(old: str, new: str, sheds: bool) -> Iterator[Change]:
    """What is refused later, when there is too much to do; as long as nothing was, no priority lets in more."""
    if old == new:
        return
    if not {old, new} <= set(PRIORITIES):
        yield unknown("priority", "what is refused first under load", old, new)
        return
    later = PRIORITIES.index(new) > PRIORITIES.index(old)
    text = f"it is refused {'later' if later else 'earlier'} under load: {old} before, {new} now"
    yield (narrows if not later else widens if sheds else moves)("priority", text, old, new)


def _answers(old: Document, new: Document) -> Iterator[Change]:
    if old == new:
        return
    names: set[str] = set()
    for edit in EDITS:
        one, other = old[edit], new[edit]
        if isinstance(one, list):
            names |= set(one) ^ set(other)
        else:
            names |= {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    telling = any(name.startswith(TELLING) or name.endswith(CACHES) for name in names)
    # what is removed or set hides what the service says
    shown = (
        ({*old["remove"], *old["set"]} - {*new["remove"], *new["set"]})
        if old.keys() == set(EDITS) == new.keys()
        else set()
    )
    text = f"the client sees other header fields: {quoted(names)}"
    text += f"; what services say in {quoted(shown)} is shown again" if shown else ""
    if old.keys() | new.keys() != set(EDITS):
        yield unknown("response_headers", "what the client sees of header fields", old, new)
    else:
        yield (widens if telling or shown else moves)("response_headers", text, old, new)
