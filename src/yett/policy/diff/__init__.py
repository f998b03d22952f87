"""What a change of a configuration widens, narrows or merely moves."""

from __future__ import annotations

from yett.policy.diff import document, examples
from yett.policy.diff.change import Change
from yett.policy.engine import Engine


def compare(old: Engine, new: Engine) -> list[Change]:
    """Every difference, those that widen first and with an example where one was found."""
    return examples.add(old, new, document.compare(old.document, new.document))
