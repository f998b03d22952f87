"""Two environments that are files of their own, and differ in what nobody declared to be different."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yett.config.load import tree_of
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

MOST_FILES = 200
"""Files that are looked at for another environment of the same gateway."""
MOST_BYTES = 8 << 20
OWN = frozenset({"version", "environment", "base", "owner", "include", "tests", "lint", "zone"})
"""What says which environment it is, or is no part of what is served."""


@dataclass(frozen=True)
class Other:
    """Another environment of the same gateway."""

    shown: str
    environment: str
    tree: dict[str, Any]


def check(context: Context) -> Iterator[Hit]:
    """Parts that another environment has otherwise, where neither is an overlay of a base that both have."""
    main = context.places.main
    if main is None or context.gateway.environment is None:
        return
    own = tree_of(main.path)
    if own is None:
        return
    below = _root(main.path, main.value)
    for other in _others(main.path, below, context.gateway.environment, own):
        for at in _differences(own, other.tree):
            here = at if at[0] in own and (len(at) == 1 or at[1] in own[at[0]]) else at[:-1]
            yield Hit(here, f"{_said(at, own, other)}; {_ADVICE}")


_ADVICE = "make one file the `base` of both, and write what is meant to be different into a small overlay for each environment"


def _said(at: tuple[str, ...], own: dict[str, Any], other: Other) -> str:
    here: Any = own
    for step in at[:-1]:
        here = here.get(step, {})
    where, name = f"`{other.shown}` ({other.environment})", f"`{'.'.join(at)}`"
    if at[-1] not in here:
        return f"{where} has {name}, and this file has not"
    there: Any = other.tree
    for step in at[:-1]:
        there = there.get(step, {})
    return f"{name} is {'another one' if at[-1] in there else 'not'} in {where}"


def _differences(own: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key in sorted((own.keys() | other.keys()) - OWN):
        one, two = own.get(key), other.get(key)
        if one == two:
            continue
        if isinstance(one, dict) and isinstance(two, dict):
            yield from (
                (key, name) for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name)
            )
        else:
            yield (key,)


def _others(path: Path, below: Path, environment: str, own: dict[str, Any]) -> Iterator[Other]:
    """Files with another environment and a route of the same name, and with another base or none."""
    for file in _candidates(path, environment):
        tree = _read(file, environment)
        if tree is None or _root(file, tree) == below or file.resolve() == below:
            continue
        if not file.is_relative_to(path.parent.resolve()) and file.parent.name != tree["environment"]:
            continue  # another gateway, in a folder of its own
        routes = tree.get("routes")
        if isinstance(routes, dict) and routes.keys() & own.get("routes", {}).keys():
            yield Other(os.path.relpath(file, path.parent.resolve()), str(tree["environment"]), tree)


def _read(file: Path, environment: str) -> dict[str, Any] | None:
    try:
        if file.stat().st_size > MOST_BYTES or b"environment" not in file.read_bytes():
            return None
    except OSError:
        return None
    tree = tree_of(file)
    named = tree.get("environment") if tree else None
    return tree if tree and isinstance(named, str) and named != environment else None


def _candidates(path: Path, environment: str) -> list[Path]:
    """YAML beside the file and one folder below; beside `production/gateway.yaml` also `staging/gateway.yaml`."""
    folder = path.parent.absolute()
    places = [(folder, "*.yaml"), (folder, "*/*.yaml")]
    if folder.name == environment:
        places.append((folder.parent, "*/gateway.yaml"))
    found: dict[Path, None] = {}
    for where, pattern in places:
        for file in sorted(where.glob(pattern)):
            if file.resolve() != path.resolve():
                found.setdefault(file.resolve())
            if len(found) >= MOST_FILES:
                return list(found)
    return list(found)


def _root(path: Path, value: Any) -> Path:
    """The file that is the base, as long as there is one."""
    base = value.get("base") if isinstance(value, dict) else None
    return (path.parent / base if isinstance(base, str) else path).resolve()


RULE = Rule(
    id="environment-difference", severity=Severity.WARNING, title="environments differ, and no overlay says that they are meant to", check=check,
    references=("API9:2023",),
)  # fmt: skip
