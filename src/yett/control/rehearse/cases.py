"""What a rehearsal reports."""

from __future__ import annotations

from dataclasses import dataclass

from yett.control.rehearse.authority import DAY, SERVER, Authority
from yett.control.rehearse.scratch import NotLoaded, Pair, Scratch, Trust

SERVED = "served"
NOT_LOADED = "does not load"


@dataclass(frozen=True)
class Played:
    """One case: what was expected, and what happened."""

    listener: str
    case: str
    expected: str
    happened: str
    detail: str = ""
    """More about what happened, where there is more to say."""

    @property
    def ok(self) -> bool:
        return self.expected == self.happened


def load(scratch: Scratch, pair: Pair, trust: Trust | None = None) -> tuple[str, str] | None:
    """What happened instead of loading, and why."""
    try:
        scratch.load(pair, trust)
    except NotLoaded as error:
        return NOT_LOADED, str(error)
    return None


@dataclass(frozen=True)
class Stage:
    """A chain of the rehearsal's own for the listener: root, intermediate, leaf."""

    root: Authority
    intermediate: Authority

    @classmethod
    def built(cls, authority: Authority) -> Stage:
        return cls(authority, Authority("yett rehearsal intermediate", authority.now, by=authority))

    def pair(self, name: str) -> Pair:
        """A chain that clients accept for `name`."""
        leaf = self.intermediate.issue("yett rehearsal", names=[name], purpose=SERVER, until=DAY)
        return Pair(leaf.pem + self.intermediate.pem, leaf.key_pem.encode())
