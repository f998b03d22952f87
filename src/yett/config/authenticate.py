"""Which identity providers a route accepts: any of several, or every one of them; group and route together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from yett.config.base import listed
from yett.config.providers import Provider
from yett.config.types import Quantified


@dataclass(frozen=True)
class Accepted:
    """Names of providers. `all_of`: each of them has to vouch, and the caller is whom the first one vouches for."""

    providers: tuple[str, ...] = ()
    all_of: bool = False

    def clashes(self, known: Mapping[str, Provider]) -> Iterator[tuple[str, str]]:
        """Pairs of which no request could satisfy both."""
        for one, other in combinations(self.providers if self.all_of else (), 2):
            if one in known and other in known and known[one].credential == known[other].credential:
                yield one, other


def accepted(spec: Quantified | None) -> Accepted:
    """What one `authenticate:` says; one provider is any of one."""
    if spec is None:
        return Accepted()
    return Accepted(spec.items, spec.quantifier == "all_of" and len(spec.items) > 1)


def meet(group: Accepted, route: Accepted) -> Accepted | str:
    """What satisfies both, never less than either asks for; or why nothing does."""
    if not group.providers or not route.providers:
        return route if route.providers else group
    shared = tuple(name for name in group.providers if name in route.providers)
    if group.all_of and route.all_of:
        return Accepted((*group.providers, *(name for name in route.providers if name not in shared)), True)
    if shared:
        # whoever satisfies the side that wants all of its providers has satisfied the other, too
        if route.all_of and route.providers[0] not in shared:
            # the group's rules are about callers of its own providers
            return f"the caller is whom `{route.providers[0]}` vouches for, and the group accepts {listed(group.providers)}; name one of those first"
        every = group if group.all_of else route
        return every if every.all_of else Accepted(shared)
    if group.all_of:
        return f"the group wants {listed(group.providers)} to vouch, all of them; name one of those, or leave this out"
    return f"the group accepts {listed(group.providers)} only, so nobody could pass; name one of those"
