"""The filters. Each is one module here, one in the data plane, one test, one page, one example, all of one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Place = Literal["listener", "group", "route", "service"]


@dataclass(frozen=True)
class Filter:
    """A key of a route, its phase, where it may stand, and how a group's and a route's are merged.

    `all` means that every one applies; `one` that it stands in one place only.
    """

    name: str
    phase: str
    places: tuple[Place, ...]
    merge: Literal["all", "one"]


FILTERS: tuple[Filter, ...] = (
    Filter("address_filter", "screen", ("listener", "group", "route"), "all"),
    Filter("geo_filter", "screen", ("listener", "group", "route"), "all"),
    Filter("address_limit", "screen", ("listener", "group", "route"), "all"),
    Filter("websocket", "route", ("group", "route"), "one"),
    Filter("cors", "route", ("group", "route"), "one"),
    Filter("bot_filter", "bots", ("group", "route"), "one"),
    Filter("csrf", "authorize", ("group", "route"), "one"),
    Filter("assurance", "authorize", ("group", "route"), "all"),
    Filter("authorize", "authorize", ("group", "route"), "all"),
    Filter("external_authorization", "authorize", ("group", "route"), "one"),
    Filter("concurrency_limit", "limit", ("group", "route"), "all"),
    Filter("rate_limit", "limit", ("group", "route"), "all"),
    Filter("quota", "limit", ("group", "route"), "all"),
    Filter("request_validation", "validate", ("group", "route"), "one"),
    Filter("attack_filter", "validate", ("group", "route"), "one"),
    Filter("login_guard", "guard", ("route",), "one"),
    Filter("rewrite", "forward", ("group", "route"), "one"),
    Filter("request_headers", "forward", ("group", "route"), "one"),
    Filter("split", "forward", ("group", "route"), "one"),
    Filter("mirror", "forward", ("group", "route"), "one"),
    Filter("identity_assertion", "forward", ("service",), "one"),
    Filter("response_validation", "respond", ("group", "route"), "one"),
    Filter("response_headers", "respond", ("group", "route"), "one"),
    Filter("security_headers", "respond", ("group", "route"), "all"),
    Filter("redirect", "forward", ("route",), "one"),
    Filter("respond", "forward", ("route",), "one"),
)
"""In the order of their phases."""
