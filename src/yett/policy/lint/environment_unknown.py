"""An environment that reads like production and is not called so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from yett.config.gateway import PRODUCTION
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

_ALIKE = frozenset({"prod", "prd", "live", PRODUCTION})
_BEFORE = re.compile(r"(pre|non|no|not|post)([-_.]|prod|prd|live|$)|.*[-_.](pre|non|not)([-_.]|$)")
NEAR = 0.85


def check(context: Context) -> Iterator[Hit]:
    """`prod`, `live`, `Production`, `production-eu` and slips of the pen."""
    name = context.gateway.environment
    if name is None or name == PRODUCTION or _BEFORE.match(name.casefold()):
        return
    words = re.split(r"[-_.]|(?<=[a-z])(?=\d)", name.casefold())
    near = difflib.SequenceMatcher(None, name.casefold(), PRODUCTION).ratio() >= NEAR
    if near or _ALIKE & set(words):
        message = f"the rules for production ask nothing of `{name}`; did you mean `{PRODUCTION}`? otherwise take a name that nobody takes for it"
        yield Hit(("environment",), message, on_key=False)


RULE = Rule(
    id="environment-unknown", severity=Severity.WARNING, title="an environment that only reads like production", check=check,
    references=("API9:2023",),
)  # fmt: skip
