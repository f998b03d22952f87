"""`x-yett-cost` of an operation: what a request of it costs in the limit of its caller."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError

from yett.config.rates.measure import LimitCost, read_cost
from yett.config.validation.translate import Faulty
from yett.config.words import Location, listed

KEY = "x-yett-cost"
BURST = 40
"""Of the limit, where no operation costs much."""
MOST = 1_000
"""Of one operation: the limit of the group lets each through twice, and all others as often as that comes to."""


def cost(operation: dict[str, Any], at: Location) -> Any:
    """As it is written in a configuration; nothing where nothing is said.

    Raises:
        Faulty: it is no cost.
    """
    misplaced(operation, at, (KEY,))
    if KEY not in operation:
        return None
    value = operation[KEY]
    try:
        found = read_cost(value)
    except PydanticCustomError as error:
        context = error.context or {}
        raise Faulty((*at, KEY, *context.get("at", ())), str(context.get("message"))) from None
    if found.methods or found.cel or found.most == 0:
        text = f"`{KEY}` is a whole number of requests, such as `5`, or `{{after: …}}` as in a configuration"
        raise Faulty((*at, KEY), text)
    if found.most > MOST:
        text = f"`{found.most}` is more than an import takes, {MOST:,}: its limit would let every other operation through as often"
        raise Faulty((*at, KEY), text)
    return value


def misplaced(part: Any, at: Location, known: tuple[str, ...] = ()) -> None:
    """Refuses extensions for the gateway that are not read at a part: whoever wrote one counts on it.

    Raises:
        Faulty: there is one.
    """
    for key in part if isinstance(part, dict) else ():
        if str(key).startswith("x-yett-") and key not in known:
            where = f"there is {listed(known)} here" if known else f"`{KEY}` stands at an operation"
            raise Faulty((*at, key), f"`{key}` is not read here; {where}")


def burst(costs: list[Any]) -> int:
    """A burst that lets each operation through at least twice."""
    read: list[LimitCost] = [read_cost(one) for one in costs if one is not None]
    return max([BURST, *(2 * one.most for one in read)])
