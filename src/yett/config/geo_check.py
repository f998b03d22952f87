"""What geo filters, and guarded logins, ask for without having it."""

from __future__ import annotations

from yett.config.base import Location
from yett.config.filters.geo_filter import GeoFilter
from yett.config.merge import Merger


def check_geo(merger: Merger) -> None:
    """Every filter finds its databases, its lists, and the callers that it excepts."""
    gateway = merger.gateway
    for kind, items in (
        ("listeners", gateway.listeners),
        ("groups", gateway.groups),
        ("routes", gateway.routes),
    ):
        for name, item in items.items():
            found = item.geo_filter
            if found is not None:
                at: Location = (kind, name, "geo_filter")
                _databases(merger, at, found)
                _exceptions(merger, at, found, getattr(item, "access", None) == "public")
    for name, route in gateway.routes.items():
        guard = route.login_guard
        if (
            guard is not None
            and guard.thresholds.per_asn is not None
            and not (gateway.geo and gateway.geo.asn)
        ):
            merger.fault(
                ("routes", name, "login_guard", "thresholds", "per_asn"),
                "geo_database_missing",
                "no database knows whose network an address belongs to; name one: `geo: {asn: GeoLite2-ASN.mmdb}`",
                True,
            )


def _databases(merger: Merger, at: Location, found: GeoFilter) -> None:
    geo = merger.gateway.geo
    rented = geo is not None and (geo.anonymous or geo.hosting_asns)
    for key, there, database in (
        ("countries", geo and geo.country, "geo: {country: GeoLite2-Country.mmdb}"),
        ("asns", geo and geo.asn, "geo: {asn: GeoLite2-ASN.mmdb}"),
        ("hosting", rented, "geo: {anonymous: GeoIP2-Anonymous-IP.mmdb}`, or `hosting_asns` beside `asn`"),
    ):
        if getattr(found, key) is not None and not there:
            tick = "" if database.endswith("`") else "`"
            merger.fault(
                (*at, key),
                "geo_database_missing",
                f"no database knows that of an address; name one: `{database}{tick}",
                True,
            )


def _exceptions(merger: Merger, at: Location, found: GeoFilter, public: bool) -> None:
    if found.except_ is None:
        return
    lists = merger.gateway.address_lists
    for index, used in enumerate(found.except_.addresses):
        if used not in lists:
            merger.unknown((*at, "except", "addresses", "any_of", index), "address list", used, lists)
    if found.except_.callers and (at[0] == "listeners" or public):
        where = (
            "on a listener nobody is known yet" if at[0] == "listeners" else "a public route knows no callers"
        )
        message = f"{where}; except `addresses`, or move the filter to a route that has callers"
        merger.fault((*at, "except", "callers"), "geo_callers_unknown", message, True)
