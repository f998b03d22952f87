"""How surely, and how lately, a person has to have logged in (RFC 9470)."""

from __future__ import annotations

import re
from typing import Any

from pydantic import model_validator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.types import Items

_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)


class Assurance(Model):
    """How surely, and how lately, a person has to have logged in. Browsers are led to a login that is; others get 401."""

    acr: Items = ()
    """One of these as `acr`, as the provider names them; the first is preferred."""
    max_age: units.Duration | None = None
    """Longest time since the person logged in at the provider (`auth_time`), in whole seconds."""

    @model_validator(mode="after")
    def _something(self) -> Assurance:
        if not self.acr and self.max_age is None:
            raise refuse("assurance_empty", "nothing is demanded here; write `acr`, `max_age`, or both")
        for index, value in enumerate(self.acr):
            if not _WORD.fullmatch(value):
                message = f"`{value}` is no value of `acr`; each is one word, without blanks and quotes"
                raise refuse("acr_invalid", message, ("acr", index))
        if self.max_age is not None and units.milliseconds(self.max_age) % 1000:
            raise refuse(
                "duration_invalid", f"`{self.max_age}` is not whole seconds; write such as `5m`", ("max_age",)
            )
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        age = {} if self.max_age is None else {"max_age_s": units.milliseconds(self.max_age) // 1000}
        return {"acr": list(self.acr), **age}


def merged(parts: list[Assurance]) -> dict[str, Any] | str | None:
    """What group and route come to together: every one applies. Text: why nobody could satisfy them."""
    if not parts:
        return None
    acr: list[str] | None = None
    for part in parts:
        if part.acr:
            acr = [one for one in part.acr if acr is None or one in acr]
            if not acr:
                return "no `acr` is in both lists of group and route, so no login would do; name one of the group's"
    ages = [units.milliseconds(part.max_age) // 1000 for part in parts if part.max_age is not None]
    return {"acr": acr or [], **({"max_age_s": min(ages)} if ages else {})}
