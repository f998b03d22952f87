"""Routes that nearly took a request: what is different about it."""

from __future__ import annotations

import difflib
from typing import Any

from yett.config.base import listed
from yett.config.merge import covers

SHOWN = 3


def near(document: dict[str, Any], decision: dict[str, Any], method: str) -> list[str]:
    """For a request that no route takes: the nearest ones, and in what they differ from it."""
    found: list[tuple[int, str, str]] = []
    for route in document["routes"]:
        match = route["match"]
        fits = _fits(match["path"], decision["path"])
        alike = difflib.SequenceMatcher(None, _shape(match["path"]), decision["path"]).ratio()
        if not fits and alike < 0.5:
            continue
        differences = []
        if not fits:
            differences.append(f"its path is {match['path']}")
        methods = {*match["methods"], *(("HEAD",) if "GET" in match["methods"] else ())}
        if method not in methods:
            differences.append(f"it takes {listed(match['methods'])}")
        if match["hosts"] is not None and not any(covers(one, decision["host"]) for one in match["hosts"]):
            differences.append(f"its hosts are {listed(match['hosts'])}")
        if decision["listener"] not in route["listeners"]:
            differences.append(f"it is on {listed(route['listeners'])}")
        differences += [f"it wants the header `{name}`" for name in match["headers"]]
        differences += [f"it wants the query parameter `{name}`" for name in match["query"]]
        rank = len(differences) * 2 + (0 if fits else 1)
        found.append((rank, f"{1 - alike:.3f}", f"`{route['name']}`: {' and '.join(differences)}"))
    return [text for _, _, text in sorted(found)[:SHOWN] if not text.endswith(": ")]


def _fits(template: str, path: str) -> bool:
    wanted, given = template.split("/"), path.split("/")
    for index, part in enumerate(wanted):
        if part.endswith("...}"):
            return len(given) >= index
        if index >= len(given) or (not part.startswith("{") and part != given[index]):
            return False
    return len(wanted) == len(given)


def _shape(template: str) -> str:
    return "/".join("" if part.startswith("{") else part for part in template.split("/"))
