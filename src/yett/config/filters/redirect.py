"""An answer that sends the client elsewhere, in place of a service."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from yett.config.base import Model, refuse
from yett.config.match import PathTemplate, host_fault

_LOCATION = re.compile(
    r"(https?://[^\s\x00-\x20\x7f\"<>\\^`{|}]+|/([^/\\\s\x00-\x20\x7f\"<>^`{|}][^\s\x00-\x20\x7f\"<>\\^`{|}]*)?)",
    re.ASCII,
)


def _location(value: Any) -> Any:
    if not isinstance(value, str) or not _LOCATION.fullmatch(value):
        raise refuse(
            "location_invalid",
            f"`{value!s:.100}` is not a target; write an `https://…` address or a path that starts with one `/`".replace(
                "\n", " "
            ).replace("\r", " "),
        )
    return value


def _host(value: Any) -> Any:
    name, _, port = value.partition(":") if isinstance(value, str) else ("", "", "")
    fault = host_fault(name)
    if fault or name.startswith("*") or (port and not port.isdigit()) or name != str(value).partition(":")[0]:
        raise refuse("location_invalid", f"`{value}` is not a host; write one such as `www.example.com`")
    return value


class Redirect(Model):
    """Either `location`, or any of `scheme`, `host` and `path`, which replace that part of the request's own address."""

    status: Literal[301, 302, 303, 307, 308] = 308
    """308 keeps the method and lasts; 307 keeps it for now; 303 turns it into GET."""
    location: Annotated[str, BeforeValidator(_location)] | None = None
    """A fixed target."""
    scheme: Literal["https", "http"] | None = None
    """Scheme of the target."""
    host: Annotated[str, BeforeValidator(_host)] | None = None
    """Host of the target, with a port where it has one."""
    path: PathTemplate | None = None
    """Path of the target, with the variables of the route's own path."""

    @model_validator(mode="after")
    def _one_way(self) -> Redirect:
        parts = [part for part in (self.scheme, self.host, self.path) if part is not None]
        if (self.location is None) == (not parts):
            raise refuse(
                "redirect_target", "a redirect needs either `location`, or any of `scheme`, `host` and `path`"
            )
        return self
