"""Who may come in by place: countries, autonomous systems, hosting providers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from yett.config.base import Model, refuse
from yett.config.countries import fault
from yett.config.filters.authorize import Callers
from yett.config.geo import Asn
from yett.config.types import OneOrAny, OrOne, one_or_list


def _known(code: str) -> str:
    message = fault(code)
    if message:
        raise refuse("country_unknown", message)
    return code


Codes = Annotated[tuple[Annotated[str, AfterValidator(_known)], ...], BeforeValidator(one_or_list), OrOne()]
Asns = Annotated[tuple[Asn, ...], BeforeValidator(one_or_list), OrOne()]


def _one_of(choice: Countries | Systems) -> None:
    if bool(choice.allow) == bool(choice.deny):
        raise refuse("geo_choice", "write either `allow`, and nobody else may, or `deny`, and all others may")


class Countries(Model):
    """Countries that may, or those that may not."""

    allow: Codes = ()
    """Only these, two capital letters each (ISO 3166-1): one, or a list."""
    deny: Codes = ()
    """All but these."""

    @model_validator(mode="after")
    def _either(self) -> Countries:
        _one_of(self)
        return self


class Systems(Model):
    """Autonomous systems that may, or those that may not."""

    allow: Asns = ()
    """Only these, by number: one, or a list."""
    deny: Asns = ()
    """All but these."""

    @model_validator(mode="after")
    def _either(self) -> Systems:
        _one_of(self)
        return self


class Exceptions(Model):
    """Whom a filter does not concern."""

    addresses: OneOrAny = ()
    """Lists of `address_lists` with addresses that may always come in: one, or `{any_of: […]}`."""
    callers: Callers | None = None
    """Callers who may come in from everywhere. The filter then decides once the caller is known; not on listeners."""

    @model_validator(mode="after")
    def _some(self) -> Exceptions:
        if not self.addresses and self.callers is None:
            raise refuse("geo_except_empty", "nobody is excepted; write `addresses` or `callers`")
        return self


class GeoFilter(Model):
    """Who may come in from where, by the databases of `geo`."""

    countries: Countries | None = None
    """`{allow: [DE, AT]}` or `{deny: [KP]}`."""
    asns: Systems | None = None
    """`{allow: [64496]}` or `{deny: [64511]}`."""
    hosting: Literal["deny"] | None = None
    """`deny`: who comes from a hosting provider's network may not."""
    unknown: Literal["refuse", "allow"] = "refuse"
    """What becomes of an address of which the database says nothing."""
    private: Literal["refuse", "allow"] = "refuse"
    """What becomes of an address of no public network: private, shared, loopback, link-local."""
    except_: Exceptions | None = None
    """Whom it does not concern."""

    model_config = {
        **Model.model_config,
        "alias_generator": lambda name: name.rstrip("_"),
        "populate_by_name": True,
    }

    @model_validator(mode="after")
    def _something(self) -> GeoFilter:
        if self.countries is None and self.asns is None and self.hosting is None:
            raise refuse(
                "geo_filter_empty", "nobody is kept out here; write `countries`, `asns` or `hosting`"
            )
        return self

    def compiled(self, source: str) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        found: dict[str, Any] = {"source": source}
        for key, choice in (("countries", self.countries), ("asns", self.asns)):
            if choice is not None:
                kind = "allow" if choice.allow else "deny"
                found[key] = {kind: sorted(set(getattr(choice, kind)))}
        if self.hosting:
            found["hosting"] = True
        for key in ("unknown", "private"):
            if getattr(self, key) == "allow":
                found[key] = True
        if self.except_ and self.except_.addresses:
            found["except_addresses"] = sorted(self.except_.addresses)
        if self.except_ and self.except_.callers:
            callers = self.except_.callers
            named = {key: list(getattr(callers, key)) for key in ("users", "clients", "keys", "spiffe")}
            found["except_callers"] = {key: names for key, names in named.items() if names}
        return found
