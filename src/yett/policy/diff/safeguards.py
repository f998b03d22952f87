"""What looks at a configuration before it serves: policy tests, the linter, what sensitive groups oblige to, ceilings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yett.config.gateway import Gateway
from yett.policy.diff.change import Change, narrows, quoted, unknown, widens
from yett.policy.diff.sides import Side


def compare(old: Side, new: Side) -> Iterator[Change]:
    """Every difference. One that looks at less widens: what it would have refused may be served."""
    if old.compiled is None or new.compiled is None:
        return
    yield from _tests(_names(old), _names(new))
    before, after = old.compiled.gateway, new.compiled.gateway
    yield from _ignored(_ignores(before), _ignores(after))
    yield from _sensitive(before, after)
    ceilings = [one.defaults.ceiling.model_dump(mode="json") for one in (before, after)]
    if ceilings[0] != ceilings[1]:
        yield unknown("defaults.ceiling", "what no group and no route may exceed", *ceilings)


def _names(side: Side) -> list[str]:
    return [
        _beside(path.absolute(), side.directory) for path in (side.compiled.tests if side.compiled else ())
    ]


def _beside(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory) if path.is_relative_to(directory) else path)


def _tests(old: list[str], new: list[str]) -> Iterator[Change]:
    gone, more = set(old) - set(new), set(new) - set(old)
    if gone:
        text = f"policy tests are not run any more before it serves: {quoted(gone)}"
        yield widens("tests", text, sorted(old), sorted(new))
    if more:
        yield narrows("tests.more", f"policy tests are run: {quoted(more)}", sorted(old), sorted(new))


def _ignores(gateway: Gateway) -> list[list[Any]]:
    return sorted(
        [rule, place, one.until or "for good"]
        for rule, several in gateway.lint.ignore.items()
        for one in several
        for place in one.at
    )


def _ignored(old: list[list[Any]], new: list[list[Any]]) -> Iterator[Change]:
    for one in new:
        if one not in old:
            text = f"findings of `{one[0]}` at `{one[1]}` are ignored, until {one[2]}"
            yield widens(f"lint.ignore.{one[0]}", text.replace("until for good", "for good"), None, one)
    for one in old:
        if one not in new:
            text = f"findings of `{one[0]}` at `{one[1]}` are not ignored as they were"
            yield narrows(f"lint.ignore.{one[0]}.less", text, one, None)


def _sensitive(old: Gateway, new: Gateway) -> Iterator[Change]:
    for name in sorted(old.groups.keys() & new.groups.keys()):
        before, after = old.groups[name].sensitive, new.groups[name].sensitive
        if before == after:
            continue
        where = f"groups.{name}.sensitive"
        if after is None:
            yield widens(
                where, f"group `{name}` is not sensitive any more, so less is asked of it", before, after
            )
        elif before is None:
            yield narrows(where, f"group `{name}` is sensitive", before, after)
