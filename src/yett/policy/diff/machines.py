"""Programs that two configurations know by name: keys, certificates, registered clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.diff.change import Change, bound, flag, narrows, rest, subset, widens

Document = dict[str, Any]
# Where the entries of a provider stand, and what names one.
FIXED = {
    "mtls": ("identities", "name"),
    "signed_request": ("keys", "id"),
    "client_assertion": ("clients", "id"),
}
WORDS = {"mtls": "certificates of", "signed_request": "the signing key", "client_assertion": "the client"}


def api_key(old: Document, new: Document, plain: bool) -> Iterator[Change]:
    """API keys by their ids. `plain`: having less never helps a caller."""
    for key in ("header", "salt", "pepper"):
        if old[key] != new[key]:
            more = "; requests with the old header are read otherwise" if key == "header" else ""
            yield widens(key, f"`{key}` is different, so other keys may count{more}", old[key], new[key])
    before, after = ({one["id"]: one for one in these["keys"]} for these in (old, new))
    for label, one in before.items():
        other, where = after.get(label), f"keys.{label}"
        if other is None:
            yield narrows(where, f"a key of `{one['name']}` counts no more", one, None)
        elif one != other:
            make = narrows if _narrower(one, other, plain) else widens
            yield make(where, f"a key of `{other['name']}` {_what(one, other)}", one, other)
    for label in after.keys() - before.keys():
        text = f"a key of `{after[label]['name']}` counts now"
        yield widens(f"keys.{label}", text, None, after[label])
    yield from rest("", "the provider", old, new, {"type", "name", "header", "salt", "pepper", "keys"})


def machines(old: Document, new: Document, plain: bool) -> Iterator[Change]:
    """Certificates, signing keys and registered clients by their names, and what bounds their word."""
    part, label = FIXED[old["type"]]
    word = WORDS[old["type"]]
    before, after = ({one[label]: one for one in these[part]} for these in (old, new))
    for name, one in before.items():
        other, where = after.get(name), f"{part}.{name}"
        if other is None:
            # patterns of certificates are tried in turn, so another one may take over
            make = widens if old["type"] == "mtls" else narrows
            yield make(where, f"{word} `{name}` is not known any more", one, None)
        elif one != other:
            make = narrows if _narrower(one, other, plain) else widens
            yield make(where, f"{word} `{name}` {_what(one, other)}", one, other)
    for name in after.keys() - before.keys():
        yield widens(f"{part}.{name}", f"{word} `{name}` is known now", None, after[name])
    known = {"type", "name", part}
    for key, what in (("audiences", "audiences"), ("algorithms", "algorithms")):
        if key in old and key in new:
            known.add(key)
            yield from subset(key, what, old[key], new[key])
    for key, what in (("leeway_s", "the leeway of times"), ("max_age_s", "the age of a signature"), ("lifetime_s", "the age of an assertion")):  # fmt: skip
        if key in old and key in new:
            known.add(key)
            yield from bound(key, what, old[key], new[key], " s")
    if "nonce_required" in old and "nonce_required" in new:
        known.add("nonce_required")
        nonces = [one["nonce_required"] for one in (old, new)]
        yield from flag("nonce_required", "a nonce is needed", "no nonce is needed any more", *nonces)
    yield from rest("", "the provider", old, new, known)


def _narrower(old: Document, new: Document, plain: bool) -> bool:
    """Whether an entry lets in no more than it did: with the same or fewer rights, sooner gone, from fewer addresses."""
    mine, theirs = _flat(old), _flat(new)
    for key in mine.keys() | theirs.keys():
        one, other = mine.get(key), theirs.get(key)
        if one == other:
            continue
        if key in {"scopes", "roles"}:
            fine = plain and set(other or ()) <= set(one or ())
        elif key == "expires":
            fine = one is None or (other is not None and other <= one)
        else:
            fine = key == "allowed_addresses" and (
                not one or (bool(other) and set(other or ()) <= set(one or ()))
            )
        if not fine:
            return False
    return True


def _what(old: Document, new: Document) -> str:
    mine, theirs = _flat(old), _flat(new)
    keys = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    secret = {"hash", "public_key", "secret", "jwks"}
    said = [key if key in secret else f"{key}: {_said(theirs.get(key))}, before {_said(mine.get(key))}" for key in keys]  # fmt: skip
    return f"is different ({'; '.join(said)})"


def _said(value: Any) -> str:
    if value in (None, [], ""):
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _flat(entry: Document) -> Document:
    machine = entry.get("machine") or {}
    return {**{key: value for key, value in entry.items() if key != "machine"}, **machine}
