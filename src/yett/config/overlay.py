"""One base for every environment, and a small overlay for what is deliberately different in one of them.

An overlay names its `base`. Mappings are merged key by key, everything else of the overlay stands in the place of what the base has; so no
part of the base is lost by accident, and every difference can be read in one small file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yett.config.base import Location
from yett.config.places import Places, Source
from yett.errors import ConfigError

QUANTIFIERS = ({"any_of"}, {"all_of"}, {"none_of"}, {"none"})
"""Mappings that are one value: another one stands in their place."""
SECRETS = frozenset({"file", "env"})


def is_one_value(value: Any) -> bool:
    """Whether a mapping is a list with its quantifier, a reason, or where a secret is."""
    return isinstance(value, dict) and (
        value.keys() in QUANTIFIERS or (len(value) == 1 and value.keys() <= SECRETS)
    )


def laid_over(below: Any, above: Any) -> Any:
    """The base with what the overlay says."""
    if (
        not isinstance(below, dict)
        or not isinstance(above, dict)
        or is_one_value(below)
        or is_one_value(above)
    ):
        return above
    return {
        **below,
        **{key: laid_over(below[key], value) if key in below else value for key, value in above.items()},
    }


def base_of(overlay: Source) -> Path | None:
    """The file that an overlay lies over; nothing where it is no overlay."""
    named = overlay.value.get("base") if isinstance(overlay.value, dict) else None
    return overlay.path.parent / named if isinstance(named, str) else None


def check(overlay: Source, base: Source, places: Places, errors: list[ConfigError]) -> None:
    """What stands in the wrong one of the two files."""

    def fault(location: Location, code: str, message: str, key: bool = True) -> None:
        errors.append(places.error(location, code, message, key))

    if "base" in base.value:
        fault(
            ("base",),
            "base_again",
            f"`{overlay.value['base']}` is an overlay itself; name the file that it lies over",
            False,
        )
    if "environment" not in overlay.value:
        message = (
            "an overlay is what one environment has of its own; say which one: `environment: production`"
        )
        fault(("base",), "environment_missing", message)
    for key in ("include", "owner"):
        if key in overlay.value:
            fault(
                (key,),
                "overlay_key",
                f"`{key}` is the same in every environment; write it into the base, {base.shown}",
            )
