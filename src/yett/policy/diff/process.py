"""What two configurations say of the process as a whole: bounds, log, admin listener, state, proofs, security events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import (
    Change,
    at,
    bound,
    flag,
    moved,
    moves,
    named,
    narrows,
    rest,
    subset,
    widens,
)
from yett.policy.diff.listeners import address

Document = dict[str, Any]
SIZES = ("verdict_cache", "introspection_cache", "drain_ms")
# Whoever finds no room shares what is limited with others.
KEYS = {"limit_keys": "rate and address limits", "quota_keys": "quotas", "login_keys": "guarded logins"}
ROOM = 100_000
"""What the data plane takes where nothing is said, of keys and revocations (`crates/yett-core/src/ir/process.rs`)."""
# What the data plane takes where nothing is said (`crates/yett-core/src/ir/dpop.rs`).
DPOP: Document = {"algorithms": ["ES256", "EdDSA", "ES384", "PS256", "RS256"], "max_age_s": 60, "leeway_s": 5}


def compare(old: Document, new: Document) -> Iterator[Change]:
    """Every difference of what belongs to no route, listener, provider or service."""
    yield from at("process", _process(old["process"], new["process"]))
    yield from _log(old["access_log"], new["access_log"])
    yield from _decisions(old.get("decision_log"), new.get("decision_log"))
    yield from at("admin", _admin(old["admin"], new["admin"]))
    yield from at("state", _state(old.get("state"), new.get("state")))
    yield from at("dpop", _dpop(old.get("dpop") or DPOP, new.get("dpop") or DPOP))
    yield from _events(old.get("security_events", []), new.get("security_events", []))
    before, after = old.get("security_headers"), new.get("security_headers")
    if before != after:
        make = narrows if before is None else widens
        yield make("security_headers", "browsers are told other things in answers of no route", before, after)


def _process(old: Document, new: Document) -> Iterator[Change]:
    text = "bytes of bodies in memory"
    yield from bound("buffered_bytes", text, old["buffered_bytes"], new["buffered_bytes"])
    delays = [one.get("load_shedding_ms") for one in (old, new)]
    yield from bound(
        "load_shedding_ms", "the delay beyond which requests are refused", delays[0], delays[1], " ms"
    )
    for key, what in KEYS.items():
        text = f"callers who do not share what is left of {what} (`{key}`)"
        yield from bound(key, text, old.get(key, ROOM), new.get(key, ROOM))
    rooms = [one.get("revocations", ROOM) for one in (old, new)]
    if rooms[0] != rooms[1]:
        # one that finds no room is refused, and who was meant goes on
        make = widens if rooms[1] < rooms[0] else narrows
        text = f"revocations that there is room for: {rooms[0]} before, {rooms[1]} now"
        yield make("revocations", text, *rooms)
    for key in ("revocations", *KEYS):
        if old.get(key, ROOM) == new.get(key, ROOM):
            yield from moved(key, f"`{key}` is the default", old.get(key), new.get(key), None)
    for key in SIZES:
        text = f"`{key}`: {old.get(key, 'the default')} before, {new.get(key, 'the default')} now"
        yield from moved(key, text, old.get(key), new.get(key), None)
    yield from rest(
        "", "the process", old, new, {"buffered_bytes", "load_shedding_ms", "revocations", *KEYS, *SIZES}
    )


def _log(old: Any, new: Any) -> Iterator[Change]:
    if old != new and new == "off":
        yield widens("access_log", "the access log is off", old, new)
    elif old == "off" and new != "off":
        yield narrows("access_log", "there is an access log", old, new)
    else:
        yield from moved("access_log", "the access log goes elsewhere", old, new, {"file": None})


def _decisions(old: Document | None, new: Document | None) -> Iterator[Change]:
    where = "decision_log"
    if old is not None and new is None:
        yield widens(where, "decisions are not recorded any more", old, new)
    elif old is None and new is not None:
        yield narrows(where, "decisions are recorded", old, new)
    elif old is not None and new is not None and old != new:
        if old.get("hash_addresses") and not new.get("hash_addresses"):
            yield widens(where, "decision records show addresses of clients", old, new)
        known = dict.fromkeys(("file", "key", "hash_addresses", "headers", "query"))
        yield from moved(where, "decisions are recorded otherwise", old, new, known)


def _admin(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    if new is None:
        yield narrows("address", "there is no admin listener any more", old, new)
    elif old is None:
        yield widens("address", f"there is an admin listener on {new['address']}", old, new)
    else:
        yield from address("address", "the admin listener listens", old["address"], new["address"])
        tokens = [bool(one["token"]) for one in (old, new)]
        text = "the admin listener asks for a token"
        yield from flag("token", text, "the admin listener asks for no token any more", *tokens)
        if all(tokens):
            yield from moved(
                "token",
                "the token of the admin listener is named otherwise",
                old["token"],
                new["token"],
                None,
            )
        yield from rest("", "the admin listener", old, new, {"address", "token"})


def _state(old: Document | None, new: Document | None) -> Iterator[Change]:
    before, after = old or {}, new or {}
    for key in ("directory", "redis"):
        one, other = before.get(key), after.get(key)
        if bool(one) == bool(other):
            continue
        if one:
            text = (
                f"state is not kept in `{key}` any more: what was revoked may be forgotten, or not heard of"
            )
            yield widens(key, text, one, other)
        else:
            yield moves(key, f"state is kept in `{key}`", one, other)
    if before.get("directory") and after.get("directory"):
        text = "state is kept in another directory: what was revoked there is not known here"
        if before["directory"] != after["directory"]:
            yield widens("directory", text, before["directory"], after["directory"])
    if before.get("redis") and after.get("redis"):
        yield from at("redis", _redis(before["redis"], after["redis"]))
    yield from rest("", "state", before, after, {"directory", "redis"})


def _redis(old: Document, new: Document) -> Iterator[Change]:
    yield from flag("tls", "Redis is spoken to over TLS", "Redis is spoken to without TLS", old["tls"], new["tls"])  # fmt: skip
    loss = [one["state_loss"] for one in (old, new)]
    if loss[0] != loss[1]:
        text = f"when revocations cannot be heard of: {loss[1]}, before {loss[0]}"
        yield (narrows if loss[1] == "refuse" else widens)("state_loss", text, *loss)
    text = "how old what is known of revocations may be"
    yield from bound("stale_ms", text, old["stale_ms"], new["stale_ms"], " ms")
    for key in ("host", "port", "database", "prefix", "ca", "sentinel", "cluster"):
        if old.get(key) != new.get(key):
            text = f"Redis: another `{key}`, so what is known of revocations may be something else"
            yield widens(key, text, old.get(key), new.get(key))
    for key in ("username", "password", "deadline_ms"):
        yield from moved(key, f"Redis: `{key}` is different", old.get(key), new.get(key), None)
    known = {"tls", "state_loss", "stale_ms", "host", "port", "database", "prefix", "ca", "sentinel", "cluster", "username", "password", "deadline_ms"}  # fmt: skip
    yield from rest("", "Redis", old, new, known)


def _dpop(old: Document, new: Document) -> Iterator[Change]:
    yield from subset("algorithms", "algorithms of proofs", old["algorithms"], new["algorithms"])
    for key, text in (("max_age_s", "the age of proofs"), ("leeway_s", "the leeway of proofs")):
        yield from bound(key, text, old[key], new[key], " s")
    nonces = [one.get("nonce_ms") for one in (old, new)]
    yield from bound("nonce_ms", "how long a nonce of proofs counts", nonces[0], nonces[1], " ms")
    yield from rest("", "proofs", old, new, {"algorithms", "max_age_s", "leeway_s", "nonce_ms"})


def _events(old: list[Document], new: list[Document]) -> Iterator[Change]:
    before, after = named(old), named(new)
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        what = f"what an identity provider pushes (`{name}`)"
        if one is None:
            yield narrows(f"security_events.{name}", f"{what} is heard now", one, other)
        else:
            text = f"{what} is not heard any more" if other is None else f"{what} is heard otherwise"
            yield widens(f"security_events.{name}", text, one, other)
