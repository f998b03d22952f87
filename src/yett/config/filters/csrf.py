"""Writes that a foreign page has a visitor's browser send (CSRF): from whose pages they may come."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, WithJsonSchema, model_validator

from yett.config.base import Model, refuse
from yett.config.origin import origin_fault, pattern_fault
from yett.config.types import ONE_OR_SEVERAL, Text, any_of
from yett.config.words import code, one_line


def _origin(item: str) -> None:
    if item in {"any", "null", "*"}:
        message = f"`{item}` would let pages of anyone write; name the origins, or remove `csrf`"
        raise refuse("origin_invalid", message)
    fault = pattern_fault(item) if "*" in item else origin_fault(item)
    if fault:
        raise refuse("origin_invalid", fault)


def _field(value: str) -> str:
    if any(one.isspace() for one in value):
        message = f"the field {code(one_line(value))} has a blank in its name; write one such as `csrf_token`"
        raise refuse("csrf_form", message)
    return value


class Csrf(Model):
    """From whose pages a request that may change something may come."""

    origins: Annotated[tuple[str, ...], any_of(_origin), WithJsonSchema(ONE_OR_SEVERAL)] = ()
    """Pages that may write beside those of the same host: `https://app.example.com`, or `https://*.example.com` for one label."""
    referer: bool = False
    """Whether `Referer` counts where a browser sends neither `Sec-Fetch-Site` nor `Origin`."""

    token: Literal["needed", "always"] | None = None
    """A token of the session, in `X-CSRF-Token`: `needed` where a browser sends neither field; `always` beside what it says."""
    form: Annotated[Text, AfterValidator(_field)] | None = None
    """A field of forms that may have the token in the place of `X-CSRF-Token`; services are told the token in that field, to write it
    into their forms."""

    @model_validator(mode="after")
    def _with_token(self) -> Csrf:
        if self.form is not None and self.token is None:
            raise refuse(
                "csrf_form",
                "a form has a token where tokens count; say `token: needed` or `token: always`",
                ("form",),
            )
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            "origins": sorted(self.origins),
            "referer": self.referer,
            **({"token": self.token} if self.token else {}),
            **({"form": self.form} if self.form else {}),
        }
