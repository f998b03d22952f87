"""What a change of a configuration widens, narrows or merely moves."""

from __future__ import annotations

from yett.policy.diff.change import Change
from yett.policy.diff.sides import Side, read


def compare(old: Side, new: Side) -> list[Change]:
    """Every difference, those that widen first and with an example where one was found."""
    # the linter reads conditions with a module of this package, and needs none of these
    from yett.policy.diff import document, examples, safeguards

    changes = document.ordered([*document.compare(old.document, new.document), *safeguards.compare(old, new)])
    return examples.add(old.engine, new.engine, changes)


__all__ = ["Change", "Side", "compare", "read"]
