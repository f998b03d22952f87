"""What a condition in CEL asks for where it says no more than `access: authenticated` or `addresses` would."""

from __future__ import annotations

import re
from typing import Any

from yett.policy.diff.logic import conjuncts

_ANYONE = re.compile(
    r"true|!\s*false|(?P<same>\d+|'[^']*'|\"[^\"]*\"|[a-z]+(\.[a-z]+)+)\s*==\s*(?P=same)"
    r"|principal\.(subject|provider|kind|issuer)\s*!=\s*(''|\"\")|(''|\"\")\s*!=\s*principal\.(subject|provider|kind|issuer)"
    r"|size\(principal\.subject\)\s*(>\s*0|>=\s*1|!=\s*0)|principal\.subject\.size\(\)\s*(>\s*0|>=\s*1|!=\s*0)"
    r"|has\(principal\.(subject|provider|kind)\)"
)
"""True of every verified caller."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NETWORK = re.compile(
    r"cidr\(\s*('[^']*'|\"[^\"]*\")\s*\)\.containsIP\(\s*(ip\(\s*)?connection\.address\s*\)?\s*\)"
)


def asked(rule: dict[str, Any]) -> set[str]:
    """The parts of a compiled rule that ask for something: `addresses` also where a condition asks for a network alone, and no
    `when` that is true of everyone.
    """
    found = {key for key, value in rule.items() if key not in {"source", "headers", "when"} and value}
    for part in conjuncts(rule["when"]) if rule.get("when") else ():
        kinds = {_kind(one) for one in _alternatives(part)}
        if "anyone" not in kinds:
            found.add("addresses" if kinds == {"addresses"} else "when")
    return found


def _alternatives(part: str) -> list[str]:
    """What `||` joins; all of it where a quote or brackets hold one."""
    text = _open(part.strip())
    pieces = text.split("||")
    quoted = any("||" in found[0] for found in _QUOTED.finditer(text))
    return [_open(one.strip()) for one in pieces] if not quoted and all(map(_whole, pieces)) else [text]


def _open(text: str) -> str:
    """Without brackets around all of it."""
    while text.startswith("(") and text.endswith(")") and _whole(text[1:-1]):
        text = text[1:-1].strip()
    return text


def _whole(text: str) -> bool:
    """Whether no bracket in it closes one that was opened before it."""
    depth = 0
    for one in text:
        depth += (one == "(") - (one == ")")
        if depth < 0:
            return False
    return depth == 0


def _kind(text: str) -> str:
    if _ANYONE.fullmatch(text):
        return "anyone"
    return "addresses" if _NETWORK.fullmatch(text) else "when"
