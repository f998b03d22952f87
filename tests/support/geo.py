"""Databases of places in MaxMind's format, written by tests: an independent implementation of what the gateway reads."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

KINDS = {"country": "GeoLite2-Country", "asn": "GeoLite2-ASN", "anonymous": "GeoIP2-Anonymous-IP"}


class _Writer(MMDBWriter):
    """One that says when it was built."""

    built = 0

    def _build_meta(self) -> dict[str, Any]:
        return {**super()._build_meta(), "build_epoch": self.built}


def _entry(kind: str, value: Any) -> dict[str, Any]:
    if kind == "country":
        iso, continent = value
        names = {"en": iso, "de": iso}
        return {
            "continent": {"code": continent, "names": names},
            "country": {"iso_code": iso, "names": names},
        }
    if kind == "asn":
        return {"autonomous_system_number": value, "autonomous_system_organization": f"system {value}"}
    return {"is_anonymous": True, **({"is_hosting_provider": True} if value else {})}


def database(
    path: Path, kind: str, entries: dict[str, Any], days_old: float = 1, built_s: int | None = None
) -> Path:
    """Writes one in a step, as tools that fetch them do. Entries by network: of `country` pairs such as `("DE", "EU")`, of `asn`
    numbers, of `anonymous` whether it is a hosting provider."""
    writer = _Writer(ip_version=6, database_type=KINDS[kind], ipv4_compatible=True, languages=["en"])
    writer.built = int(time.time() - days_old * 86_400) if built_s is None else built_s
    for network, value in entries.items():
        writer.insert_network(IPSet([network]), _entry(kind, value))
    fresh = path.with_suffix(".new")
    writer.to_db_file(str(fresh))
    os.replace(fresh, path)
    return path
