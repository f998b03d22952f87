"""Findings that the configuration accepts: with a reason, perhaps for a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from yett.config.base import Location, nearest
from yett.config.lint import ANY, Ignore
from yett.policy.linter.context import Context, section
from yett.policy.linter.fix import Remove
from yett.policy.linter.rule import Hit, Rule

UNUSED = "ignore-unused"


class Ignores:
    """Remembers which were of use."""

    def __init__(self, context: Context, *, forever: bool = False) -> None:
        """`forever`: those whose time is over count as well; a gateway that starts must not depend on the date."""
        self._context = context
        self._today: date = context.now.date()
        self._forever = forever
        self._entries: dict[str, tuple[Ignore, ...]] = dict(context.gateway.lint.ignore)
        self._used: set[tuple[str, int, str]] = set()

    def accepts(self, rule: Rule, hit: Hit) -> str | None:
        """Why a hit is accepted, if it is."""
        entries = self._entries.get(rule.id)
        if not entries:
            return None
        names = {ANY, section(hit.at), *map(str, hit.at[:1])}
        if hit.at[:1] == ("routes",) and len(hit.at) > 1:
            group = self._context.gateway.routes[str(hit.at[1])].group
            names.add(f"groups.{group}")
        reason = None
        for index, one in enumerate(entries):
            for place in one.at:
                if place in names:
                    self._used.add((rule.id, index, place))
                    if self._forever or not self.is_over(one):
                        reason = reason or one.reason
        return reason

    def is_over(self, one: Ignore) -> bool:
        """Whether its last day has passed."""
        return one.last_day is not None and one.last_day < self._today

    def expired(self) -> Iterator[Hit]:
        """Those whose time is over."""
        for rule, entries in self._entries.items():
            for index, one in enumerate(entries):
                if self.is_over(one):
                    message = f"`{rule}` was accepted until `{one.until}` ({one.reason}); repair what it finds, or decide anew"
                    yield Hit((*self._at(rule, index), "until"), message, on_key=False)

    def unused(self, known: Iterable[str]) -> Iterator[Hit]:
        """Those that match nothing. To be asked after all rules were run."""
        names = list(known)
        for rule, entries in self._entries.items():
            for index, one in enumerate(entries):
                at = self._at(rule, index)
                if rule not in names:
                    hint = nearest(rule, names) or "; `yett lint --rules` lists them"
                    yield Hit(("lint", "ignore", rule), f"there is no rule `{rule}`{hint}")
                    break
                idle = [place for place in one.at if (rule, index, place) not in self._used]
                for place in idle:
                    message = f"`{rule}` finds nothing at `{place}`, so nothing is accepted here; remove it"
                    whole = len(idle) == len(one.at)
                    position = at if whole else self._place(at, one, place)
                    fix = (
                        Remove(at if len(entries) > 1 else ("lint", "ignore", rule), "the exception")
                        if whole
                        else None
                    )
                    yield Hit(position, message, on_key=whole, fix=fix)
                    if whole:
                        break

    def _at(self, rule: str, index: int) -> Location:
        several = len(self._entries[rule]) > 1
        return ("lint", "ignore", rule, index) if several else ("lint", "ignore", rule)

    def _place(self, at: Location, one: Ignore, place: str) -> Location:
        return (*at, "at", one.at.index(place)) if len(one.at) > 1 else (*at, "at")
