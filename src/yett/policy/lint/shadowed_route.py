"""A route whose requests another one takes, because its host is more precise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from yett.config.merge import Policy
from yett.policy.linter.asked import asked
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Routes for any host, or for a wildcard, where a wider path of a more precise host comes first, under other rules."""
    precise = _precise(context)
    for policy in context.policies:
        if policy.hosts is not None and not any(host.startswith("*.") for host in policy.hosts):
            continue  # no host is more precise
        own = _segments(policy.path)
        for listener in policy.listeners:
            for host, routes in precise.get(listener, {}).items():
                if not _covers(policy.hosts, host):
                    continue
                taken = next((other for other in _candidates(routes, own) if _takes(other, own)), None)
                if taken is None or asked(taken) == asked(policy):
                    continue
                if not any(_segments(other.path) == own for other in _candidates(routes, own)):
                    place = context.places.shown_at(("routes", taken.name))
                    message = (
                        f"on `{host}` requests for it go to `{taken.name}` ({place}), which names the host and has other rules; "
                        "name the host here as well, or narrow the other path"
                    )
                    yield Hit(("routes", policy.name, "match", "path"), message, on_key=False)


Routes = dict[str, list[Policy]]
"""By the first segment of their path; `` is a variable."""


def _precise(context: Context) -> dict[str, dict[str, Routes]]:
    found: dict[str, dict[str, Routes]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for policy in context.policies:
        first = _segments(policy.path)[0]
        for listener in policy.listeners:
            for host in policy.hosts or ():
                found[listener][host]["" if first.startswith("{") else first].append(policy)
    return found


def _candidates(routes: Routes, own: list[str]) -> list[Policy]:
    return [*routes.get("", ()), *(() if own[0].startswith("{") else routes.get(own[0], ()))]


def _segments(path: str) -> list[str]:
    """Variables without their names."""
    return [
        "{...}" if part.endswith("...}") else "{}" if part.startswith("{") else part
        for part in path[1:].split("/")
    ]


def _takes(other: Policy, own: list[str]) -> bool:
    """Whether the other's template matches whatever this one does, and more."""
    wide = _segments(other.path)
    if wide == own or other.headers or other.query:
        return False
    for index, segment in enumerate(wide):
        if index >= len(own):
            return False
        if segment == "{...}":
            return True
        # a variable takes no empty segment, which a path with `/` at its end has
        if own[index] == "{...}" or (segment == "{}" and not own[index]):
            return False
        if segment not in {"{}", own[index]}:
            return False
    return len(wide) == len(own)


def _covers(hosts: tuple[str, ...] | None, host: str) -> bool:
    """Whether `host` is more precise than one of these, and inside of it."""
    if hosts is None:
        return True
    if host in hosts:
        return False
    return any(
        wide.startswith("*.") and host.removeprefix("*").endswith(wide[1:]) and host != wide for wide in hosts
    )


RULE = Rule(
    id="shadowed-route", severity=Severity.WARNING, title="another route takes requests that this one is written for", check=check,
    references=("API5:2023", "API9:2023"),
)  # fmt: skip
