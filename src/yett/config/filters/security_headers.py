"""Header fields that tell browsers to be strict, and attributes of cookies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from yett.config import units
from yett.config.base import Location, Model, listed, nearest, refuse
from yett.config.types import Items

FRAME_OPTIONS = ("sameorigin", "deny")
REFERRER_POLICIES = (
    "unsafe-url", "no-referrer-when-downgrade", "origin-when-cross-origin", "origin",
    "strict-origin-when-cross-origin", "strict-origin", "same-origin", "no-referrer",
)  # fmt: skip
OPENER_POLICIES = ("unsafe-none", "same-origin-allow-popups", "noopener-allow-popups", "same-origin")
EMBEDDER_POLICIES = ("unsafe-none", "credentialless", "require-corp")
RESOURCE_POLICIES = ("cross-origin", "same-site", "same-origin")
SAME_SITE = ("lax", "strict")
_DIRECTIVES = {
    "default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr",
    "img-src", "font-src", "connect-src", "media-src", "object-src", "frame-src", "child-src", "worker-src", "manifest-src",
    "fenced-frame-src", "base-uri", "form-action", "frame-ancestors", "sandbox", "report-uri", "report-to",
    "require-trusted-types-for", "trusted-types", "upgrade-insecure-requests", "webrtc",
}  # fmt: skip
_FEATURE = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.*_-]+(:\d{1,5})?", re.ASCII)
_YEAR = 365 * 86_400_000


def _max_age(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,4} ?d|\d{1,12} ?[smh]", value, re.ASCII):
        raise refuse(
            "duration_invalid",
            f"`{value}` is not a duration; write a whole number with a unit, such as `365d`",
        )
    if not 0 < units.milliseconds(value) <= 10 * _YEAR:
        raise refuse(
            "duration_invalid", f"`{value}` is out of range; write more than nothing and at most `3650d`"
        )
    return value


class Hsts(Model):
    """Strict-Transport-Security (RFC 6797), sent over TLS only."""

    max_age: Annotated[
        str, BeforeValidator(_max_age), WithJsonSchema({"type": "string", "examples": ["365d"]})
    ] = "365d"
    """How long browsers use nothing but https."""
    include_subdomains: bool = False
    """For every subdomain, too."""
    preload: bool = False
    """Consent to the lists built into browsers. Hard to take back."""

    @model_validator(mode="after")
    def _preload(self) -> Hsts:
        if self.preload and (not self.include_subdomains or units.milliseconds(self.max_age) < _YEAR):
            raise refuse(
                "hsts_preload",
                "browsers' lists take `preload` only with `include_subdomains: true` and at least `365d`",
            )
        return self


class Cookies(Model):
    """Attributes that a service's cookies get where they lack them."""

    secure: bool = True
    """`Secure`: sent over TLS only."""
    http_only: bool = True
    """`HttpOnly`: out of the reach of scripts."""
    same_site: Literal["lax", "strict", "off"] = "lax"
    """`SameSite`, where a cookie says none."""
    readable: Items = ()
    """Names of cookies that scripts have to read, such as `XSRF-TOKEN`: they get no `HttpOnly`."""


def _policy(value: Any) -> Any:
    if value == "off":
        return value
    if not isinstance(value, str) or not value.strip() or not re.fullmatch(r"[\x20-\x2b\x2d-\x7e]+", value):
        raise refuse(
            "csp_invalid", "write one policy in one line, without commas, such as `default-src 'self'`"
        )
    for directive in value.split(";"):
        name = directive.split()[0].lower() if directive.split() else None
        if name is not None and name not in _DIRECTIVES:
            raise refuse("csp_invalid", f"browsers know no directive `{name}`{nearest(name, _DIRECTIVES)}")
    return " ".join(value.split()).rstrip("; ")


def _features(value: Any) -> Any:
    if value == "off" or not isinstance(value, dict):
        return value
    for name, allowed in value.items():
        if not isinstance(name, str) or not _FEATURE.fullmatch(name):
            raise refuse(
                "permission_invalid", f"`{name}` is not the name of a feature; write one such as `camera`"
            )
        items = [allowed] if isinstance(allowed, str) else allowed
        single = isinstance(allowed, str) and allowed in {"none", "self", "*"}
        several = (
            isinstance(items, list | tuple)
            and items
            and all(isinstance(item, str) and (item == "self" or _ORIGIN.fullmatch(item)) for item in items)
        )
        if not single and not several:
            raise refuse(
                "permission_invalid",
                f"write who may use `{name}`: `none`, `self`, `'*'`, or a list such as `[self, 'https://maps.example']`",
                (name,),
            )
    return {name: tuple(allowed) if isinstance(allowed, list) else allowed for name, allowed in value.items()}


Policy = Annotated[str, BeforeValidator(_policy), WithJsonSchema({"type": "string"})]
Features = Annotated[
    Literal["off"] | dict[str, str | tuple[str, ...]],
    BeforeValidator(_features),
    WithJsonSchema({"anyOf": [{"const": "off"}, {"type": "object"}]}),
]

_PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "basic": {
        "hsts": Hsts(),
        "content_type_options": "nosniff",
        "frame_options": "sameorigin",
        "referrer_policy": "strict-origin-when-cross-origin",
        "cookies": Cookies(),
    },
    "strict": {
        "hsts": Hsts(max_age="730d", include_subdomains=True),
        "content_type_options": "nosniff",
        "frame_options": "deny",
        "referrer_policy": "no-referrer",
        "content_security_policy": "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'",
        "permissions_policy": dict.fromkeys(
            (
                "accelerometer", "autoplay", "browsing-topics", "camera", "clipboard-read", "display-capture",
                "encrypted-media", "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment",
                "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
            ),
            "none",
        ),
        "cross_origin_opener_policy": "same-origin",
        "cross_origin_embedder_policy": "require-corp",
        "cross_origin_resource_policy": "same-origin",
        "cookies": Cookies(same_site="strict"),
    },
}  # fmt: skip


class SecurityHeaders(Model):
    """What browsers are told; what a service sends stays where it is at least as strict. A preset's name is enough."""

    preset: Literal["none", "basic", "strict"] = "basic"
    """`basic` suits most sites; `strict` is for sites made for it, and for APIs; `none` sends what is written here only."""
    hsts: Literal["off"] | Hsts | None = None
    """Strict-Transport-Security."""
    content_type_options: Literal["off", "nosniff"] | None = None
    """X-Content-Type-Options."""
    frame_options: Literal["off", "sameorigin", "deny"] | None = None
    """X-Frame-Options, and `frame-ancestors` of a Content-Security-Policy, which browsers heed before it."""
    referrer_policy: (
        Literal[
            "off", "unsafe-url", "no-referrer-when-downgrade", "origin-when-cross-origin", "origin",
            "strict-origin-when-cross-origin", "strict-origin", "same-origin", "no-referrer",
        ] | None
    ) = None  # fmt: skip
    """Referrer-Policy."""
    content_security_policy: Policy | None = None
    """Content-Security-Policy, or `off`. It applies beside a service's own: what either forbids is forbidden."""
    permissions_policy: Features | None = None
    """Permissions-Policy: features and who may use them: `none`, `self`, `'*'`, or a list; or `off`."""
    cross_origin_opener_policy: (
        Literal["off", "unsafe-none", "same-origin-allow-popups", "noopener-allow-popups", "same-origin"]
        | None
    ) = None
    """Cross-Origin-Opener-Policy."""
    cross_origin_embedder_policy: Literal["off", "unsafe-none", "credentialless", "require-corp"] | None = (
        None
    )
    """Cross-Origin-Embedder-Policy."""
    cross_origin_resource_policy: Literal["off", "cross-origin", "same-site", "same-origin"] | None = None
    """Cross-Origin-Resource-Policy."""
    cookies: Literal["off"] | Cookies | None = None
    """Attributes of cookies."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(_PRESETS)}, handler.resolve_ref_schema(handler(schema))]}

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in _PRESETS:
                raise refuse(
                    "preset_unknown",
                    f"there is no preset `{value}`{nearest(value, _PRESETS)}; write one of {listed(_PRESETS)}",
                )
            return {"preset": value}
        return value

    def said(self) -> Iterator[tuple[str, Any, bool]]:
        """Each key with its value and whether it stands in the file (and not only in the preset)."""
        for key in type(self).model_fields:
            own = getattr(self, key)
            value = own if own is not None else _PRESETS[self.preset].get(key)
            if key != "preset" and value is not None:
                yield key, value, own is not None


_ORDERS: dict[str, tuple[str, ...]] = {
    "content_type_options": ("nosniff",),
    "frame_options": FRAME_OPTIONS,
    "referrer_policy": REFERRER_POLICIES,
    "cross_origin_opener_policy": OPENER_POLICIES,
    "cross_origin_embedder_policy": EMBEDDER_POLICIES,
    "cross_origin_resource_policy": RESOURCE_POLICIES,
}
Fault = tuple[Location, str]


@dataclass
class _Merge:
    """Parts from the widest to the nearest; each may tighten what stands before it."""

    words: dict[str, str] = field(default_factory=dict)
    hsts: tuple[int, bool, bool] | None = None
    policies: list[str] = field(default_factory=list)
    features: dict[str, set[str]] = field(default_factory=dict)
    cookies: dict[str, Any] | None = None
    faults: list[Fault] = field(default_factory=list)

    def loosened(self, at: Location, value: object, outer: object) -> None:
        message = f"`{value}` is weaker than `{outer}` of the group or of `defaults`, which stays; remove it"
        self.faults.append((at, message))

    def word(self, at: Location, key: str, value: str, own: bool) -> None:
        order, before = _ORDERS[key], self.words.get(key)
        if before is None and value != "off":
            self.words[key] = value
        elif before is not None and (value == "off" or order.index(value) < order.index(before)):
            if own:
                self.loosened(at, value, before)
        elif value != "off":
            self.words[key] = value

    def transport(self, at: Location, value: Hsts | str, own: bool) -> None:
        if isinstance(value, str):
            if self.hsts and own:
                self.loosened(at, value, f"max-age={self.hsts[0]}")
            return
        mine = (units.milliseconds(value.max_age) // 1000, value.include_subdomains, value.preload)
        if self.hsts is not None:
            if own and any(a < b for a, b in zip(mine, self.hsts, strict=True)):
                self.loosened(at, f"max-age={mine[0]}", f"max-age={self.hsts[0]}")
            a, b = mine, self.hsts
            mine = (max(a[0], b[0]), a[1] or b[1], a[2] or b[2])
        self.hsts = mine

    def content(self, at: Location, value: str, own: bool) -> None:
        if value == "off":
            if self.policies and own:
                self.loosened(at, value, self.policies[0])
        elif value not in self.policies:
            self.policies.append(value)

    def permissions(self, at: Location, value: str | dict[str, Any], own: bool) -> None:
        if isinstance(value, str):
            if self.features and own:
                self.loosened(at, value, ", ".join(self.features))
            return
        for name, allowed in value.items():
            mine = set() if allowed == "none" else {allowed} if isinstance(allowed, str) else set(allowed)
            before = self.features.get(name)
            if before is None or "*" in before or (mine <= before and "*" not in mine):
                self.features[name] = mine
            elif own and mine != before:
                shown = " ".join(sorted(before)) or "none"
                self.loosened((*at, name), " ".join(sorted(mine)), shown)

    def attributes(self, at: Location, value: Cookies | str, own: bool) -> None:
        if isinstance(value, str):
            if self.cookies and own:
                self.loosened(at, value, "cookies")
            return
        same_site = None if value.same_site == "off" else value.same_site
        mine: dict[str, Any] = {
            "secure": value.secure, "http_only": value.http_only, "same_site": same_site, "readable": sorted(value.readable),
        }  # fmt: skip
        before = self.cookies
        if before is None:
            self.cookies = mine
            return
        rank = {None: 0, "lax": 1, "strict": 2}
        readable = set(mine["readable"]) if mine["http_only"] else None
        outer = set(before["readable"]) if before["http_only"] else None
        both = readable if outer is None else outer if readable is None else readable & outer
        merged = {
            "secure": mine["secure"] or before["secure"],
            "http_only": mine["http_only"] or before["http_only"],
            "same_site": max(same_site, before["same_site"], key=lambda word: rank[word]),
            "readable": sorted(both or ()),
        }
        for key in sorted(value.model_fields_set) if own else ():
            if mine[key] != merged[key]:
                self.loosened((*at, key), _shown(mine[key]), _shown(merged[key]))
        self.cookies = merged


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value).lower() if value else "off"


def merged(parts: list[tuple[SecurityHeaders, Location]]) -> tuple[dict[str, Any] | None, list[Fault]]:
    """The strictest of all parts, the widest first, as the intermediate representation; and what would have loosened."""
    if not parts:
        return None, []
    out = _Merge()
    special = {
        "hsts": out.transport,
        "content_security_policy": out.content,
        "permissions_policy": out.permissions,
        "cookies": out.attributes,
    }
    for part, at in parts:
        for key, value, own in part.said():
            if key in special:
                special[key]((*at, key), value, own)
            else:
                out.word((*at, key), key, value, own)
    return _document(out), out.faults


def _document(out: _Merge) -> dict[str, Any]:
    policies = list(out.policies)
    frame = {"deny": "frame-ancestors 'none'", "sameorigin": "frame-ancestors 'self'"}.get(
        out.words.get("frame_options", "")
    )
    # Browsers heed it before X-Frame-Options, so that a service's own could otherwise open what that closes.
    if frame and not any(frame in policy for policy in policies):
        policies.append(frame)
    return {
        "hsts": out.hsts and dict(zip(("max_age_s", "include_subdomains", "preload"), out.hsts, strict=True)),
        "content_security_policy": policies,
        "permissions_policy": {name: _allowlist(allowed) for name, allowed in sorted(out.features.items())},
        "cookies": out.cookies,
        **{key: out.words.get(key) for key in _ORDERS},
    }


def _allowlist(allowed: set[str]) -> str:
    if "*" in allowed:
        return "*"
    return "(" + " ".join(item if item == "self" else f'"{item}"' for item in sorted(allowed, key=lambda i: (i != "self", i))) + ")"  # fmt: skip
