"""Runs rules over a configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from yett.policy.lint import RULES
from yett.policy.linter.context import Context
from yett.policy.linter.ignores import UNUSED, Ignores
from yett.policy.linter.rule import Finding, Hit, Rule, Severity


@dataclass(frozen=True)
class Report:
    """What was found, in the order of the files."""

    findings: tuple[Finding, ...]
    accepted: tuple[tuple[Finding, str], ...] = ()
    """Findings that the configuration accepts, and why."""

    def of(self, severity: Severity) -> list[Finding]:
        """Those of one severity."""
        return [finding for finding in self.findings if finding.severity is severity]


def run(context: Context, only: Collection[str] = (), *, gate: bool = False, forever: bool = False) -> Report:
    """Asks the rules, or `only` those with these ids.

    `gate`: only errors; `forever`: exceptions count past their last day.
    """
    rules = [rule for rule in RULES if not only or rule.id in only]
    if gate:
        rules = [rule for rule in rules if rule.severity is Severity.ERROR]
    ignores = Ignores(context, forever=forever)
    found: list[tuple[Rule, Hit]] = []
    accepted: dict[str, list[tuple[Rule, Hit]]] = defaultdict(list)
    for rule in rules:
        for hit in rule.check(context):
            if gate and (hit.severity or rule.severity) is not Severity.ERROR:
                continue
            reason = ignores.accepts(rule, hit)
            (found if reason is None else accepted[reason]).append((rule, hit))
    if not only and not gate:
        # what is unused is known when everything else was asked
        late = next(rule for rule in RULES if rule.id == UNUSED)
        found += [(late, hit) for hit in ignores.unused(rule.id for rule in RULES)]
    kept = [(one, reason) for reason, hits in accepted.items() for one in _findings(context, hits)]
    return Report(
        tuple(sorted(_findings(context, found), key=_order)),
        tuple(sorted(kept, key=lambda pair: _order(pair[0]))),
    )


def _findings(context: Context, found: list[tuple[Rule, Hit]]) -> Iterable[Finding]:
    """Hits at all routes of a group, for the same reason, are one finding at the group; equal ones are one."""
    found = list(dict.fromkeys(found))
    shared: dict[tuple[str, str, str, Severity | None], list[Hit]] = defaultdict(list)
    for rule, hit in found:
        if hit.group is not None:
            shared[(rule.id, hit.group, hit.message, hit.severity)].append(hit)
    said: set[tuple[str, str, str, Severity | None]] = set()
    for rule, hit in found:
        key = (rule.id, hit.group or "", hit.message, hit.severity)
        alike = shared.get(key, [])
        if hit.group is None or len(alike) < 2 or len(alike) < context.group_sizes[hit.group]:
            yield _finding(context, rule, hit)
        elif key not in said:
            said.add(key)
            routes = tuple(sorted(str(one.at[1]) for one in alike))
            yield _finding(context, rule, Hit(("groups", hit.group), hit.message, hit.severity), routes)


def _finding(context: Context, rule: Rule, hit: Hit, routes: tuple[str, ...] = ()) -> Finding:
    place = context.places.error(hit.at, rule.id, hit.message, hit.on_key)
    file, line, column = hit.file or (place.file, place.line, place.column)
    severity = hit.severity or rule.severity
    return Finding(rule, severity, file, line, column, place.where, hit.message, routes, hit.fix)


def _order(finding: Finding) -> tuple[str, int, int, str, str, str]:
    return (finding.file, finding.line, finding.column, finding.rule.id, finding.where, finding.message)
