"""What looks at a configuration before it serves: policy tests, the linter, what sensitive groups oblige to, ceilings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yett.config.compile import Compiled
from yett.config.gateway import Gateway
from yett.config.reading import Unreadable, parse
from yett.policy.diff.change import Change, flag, moves, narrows, quoted, unknown, widens
from yett.policy.diff.sides import Side


def compare(old: Side, new: Side) -> Iterator[Change]:
    """Every difference. One that looks at less widens: what it would have refused may be served."""
    if old.compiled is None or new.compiled is None:
        return
    yield from _tests(_cases(old), _cases(new))
    before, after = old.compiled.gateway, new.compiled.gateway
    yield from _ignored(_ignores(before), _ignores(after))
    yield from _sensitive(before, after)
    yield from _tenants(before, after)
    yield from _excused(old.compiled, new.compiled)
    yield from _ordered(before, after)
    ceilings = [one.defaults.ceiling.model_dump(mode="json") for one in (before, after)]
    if ceilings[0] != ceilings[1]:
        yield unknown("defaults.ceiling", "what no group and no route may exceed", *ceilings)


def _cases(side: Side) -> dict[str, dict[str, Any] | None]:
    """The policy tests by file and name; nothing in place of a file that cannot be read."""
    found: dict[str, dict[str, Any] | None] = {}
    for path in side.compiled.tests if side.compiled else ():
        try:
            value = parse(path.read_bytes(), path.parent, str(path)).value
        except (OSError, Unreadable):
            value = None
        tests = value.get("tests", {}) if isinstance(value, dict) else None
        found[_beside(path.absolute(), side.directory)] = tests if isinstance(tests, dict) else None
    return found


def _beside(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory) if path.is_relative_to(directory) else path)


def _tests(old: dict[str, dict[str, Any] | None], new: dict[str, dict[str, Any] | None]) -> Iterator[Change]:
    gone, more = old.keys() - new.keys(), new.keys() - old.keys()
    if gone:
        text = f"policy tests are not run any more before it serves: {quoted(gone)}"
        yield widens("tests", text, sorted(old), sorted(new))
    if more:
        yield narrows("tests.more", f"policy tests are run: {quoted(more)}", sorted(old), sorted(new))
    for file in sorted(old.keys() & new.keys()):
        before, after = old[file], new[file]
        if before == after:
            continue
        if before is None or after is None:
            yield unknown(f"tests.{file}", f"what the policy tests in `{file}` ask", before, after)
            continue
        missing = before.keys() - after.keys()
        if missing:
            yield widens(
                f"tests.{file}", f"`{file}` does not test any more: {quoted(missing)}", before, after
            )
        changed = [name for name in before.keys() & after.keys() if before[name] != after[name]]
        if changed:
            yield moves(
                f"tests.{file}.changed", f"`{file}` tests otherwise: {quoted(changed)}", before, after
            )


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
    """A label obliges each route of a group, also where the route goes to another group."""
    for name, before, after in _by_group(old, new, "sensitive"):
        if after is None:
            text = f"group `{name}` is not sensitive any more, so less is asked of it"
            yield widens(f"groups.{name}.sensitive", text, before, after)
        elif before is None:
            yield narrows(f"groups.{name}.sensitive", f"group `{name}` is sensitive", before, after)
    for name, before, after in _by_route(old, new, "sensitive"):
        if before is not None and after is None:
            text = f"route `{name}` is in a group that is not sensitive, so less is asked of it"
            yield widens(f"routes.{name}.sensitive", text, before, after)


def _tenants(old: Gateway, new: Gateway) -> Iterator[Change]:
    """`multi_tenant` has the linter ask each route for its tenant."""
    for name, before, after in _by_group(old, new, "multi_tenant"):
        strict = f"group `{name}`: every route has to name the tenant"
        loose = f"group `{name}`: routes do not have to name the tenant any more"
        yield from flag(f"groups.{name}.multi_tenant", strict, loose, bool(before), bool(after))
    for name, before, after in _by_route(old, new, "multi_tenant"):
        if before and not after:
            text = f"route `{name}` does not have to name the tenant any more"
            yield widens(f"routes.{name}.multi_tenant", text, before, after)


def _by_group(old: Gateway, new: Gateway, part: str) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.groups.keys() & new.groups.keys()):
        before, after = getattr(old.groups[name], part), getattr(new.groups[name], part)
        if before != after:
            yield name, before, after


def _by_route(old: Gateway, new: Gateway, part: str) -> Iterator[tuple[str, Any, Any]]:
    """Routes that are in another group than before."""
    for name in sorted(old.routes.keys() & new.routes.keys()):
        groups = old.routes[name].group, new.routes[name].group
        if groups[0] != groups[1]:
            before, after = (
                getattr(gateway.groups[group], part) if group else None
                for gateway, group in zip((old, new), groups, strict=True)
            )
            yield name, before, after


def _excused(old: Compiled, new: Compiled) -> Iterator[Change]:
    """`none: "reason"`, which the linter takes in place of a limit or of validation."""
    before, after = ({one.name: one for one in side.policies} for side in (old, new))
    for name in sorted(before.keys() & after.keys()):
        for part, what in (("unlimited", "a limit"), ("unvalidated", "validation")):
            was, now = getattr(before[name], part), getattr(after[name], part)
            if was is None and now is not None:
                yield widens(
                    f"routes.{name}.{part}",
                    f"route `{name}` is said to need no {what.removeprefix('a ')}",
                    was,
                    now,
                )


def _ordered(old: Gateway, new: Gateway) -> Iterator[Change]:
    """Which authority is asked for certificates, and whether it is the real one."""
    for name in sorted(old.listeners.keys() & new.listeners.keys()):
        before, after = (
            tls.acme if tls else None for tls in (old.listeners[name].tls, new.listeners[name].tls)
        )
        if before == after:
            continue
        said = [one.model_dump(mode="json") if one else None for one in (before, after)]
        text = f"listener `{name}`: certificates come from another authority, or are for other names"
        yield (widens if before and after else moves)(f"listeners.{name}.acme", text, *said)
