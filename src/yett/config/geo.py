"""Where an address is, and whose network it belongs to: databases in MaxMind's format, read anew when they change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from yett.config.base import Model, refuse
from yett.config.types import OrOne, Text, one_or_list
from yett.config.units import Duration, milliseconds

Asn = Annotated[int, Field(ge=1, le=4_294_967_295)]
DATABASES = ("country", "asn", "anonymous")


class Geo(Model):
    """Databases that filters and conditions ask; paths are relative to this file."""

    country: Text | None = None
    """One with countries, such as GeoLite2-Country.mmdb."""
    asn: Text | None = None
    """One with autonomous systems, such as GeoLite2-ASN.mmdb."""
    anonymous: Text | None = None
    """One that says who is a hosting provider, such as GeoIP2-Anonymous-IP.mmdb."""
    hosting_asns: Annotated[
        tuple[Asn, ...], BeforeValidator(one_or_list), Field(max_length=100_000), OrOne()
    ] = ()
    """Autonomous systems of hosting providers: one, or a list."""
    max_age: Duration = "30d"
    """Age of a database, from when it was built, beyond which it is reported (30d)."""
    unavailable: Literal["refuse", "unknown"] = "refuse"
    """What a database is while it was never read: one that refuses whoever it decides about; or one that knows nothing."""

    @model_validator(mode="after")
    def _something(self) -> Geo:
        if self.country is None and self.asn is None and self.anonymous is None:
            raise refuse("geo_empty", "no database is named; write `country`, `asn` or `anonymous`")
        if self.hosting_asns and self.asn is None:
            raise refuse(
                "key_unused",
                "without a database of autonomous systems nobody is known to be in one; name it: `asn`",
                ("hosting_asns",),
            )
        return self

    @property
    def readable(self) -> list[str]:
        """What conditions may read of `geo`."""
        return [*(["country", "continent"] if self.country else []), *(["asn"] if self.asn else [])]

    def files(self, directory: Path) -> dict[str, Path]:
        """Databases by kind."""
        named = {kind: getattr(self, kind) for kind in DATABASES}
        return {kind: (directory / path).absolute() for kind, path in named.items() if path}

    def compiled(self, directory: Path) -> dict[str, Any]:
        """Its part of the intermediate representation; files stay paths, and the data plane reads them."""
        return {
            **{kind: str(path) for kind, path in self.files(directory).items()},
            **({"hosting_asns": sorted(set(self.hosting_asns))} if self.hosting_asns else {}),
            "max_age_s": milliseconds(self.max_age) // 1000,
            **({"unavailable": "unknown"} if self.unavailable == "unknown" else {}),
        }


def weakened(geo: Geo | None) -> list[str]:
    """What lets in more than it could, in sentences."""
    if geo is None or geo.unavailable == "refuse":
        return []
    return ["databases of `geo` know nothing until they were read once (fail-open where `unknown: allow`)"]
