"""The limits of a group and a route become one list: all apply."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from yett.config import template, unlimited
from yett.config.authorization import condition
from yett.config.authorization.compiled import Authorization
from yett.config.base import Location, listed
from yett.config.rates import quotas, repeats
from yett.config.rates.measure import CALLER, LimitCost, LimitKey
from yett.config.rates.shadow import enforced, rates, tried
from yett.config.rates.shared import Sharing

if TYPE_CHECKING:
    from yett.config.filters.address_limit import AddressLimit
    from yett.config.filters.authorize import Rule
    from yett.config.filters.concurrency_limit import ConcurrencyLimit
    from yett.config.filters.rate_limit import LimitSchedule, RateLimit
    from yett.config.merge import Merger, Policy
    from yett.config.route import Group, Route

Parts = list[tuple["Group | Route", Location, str]]


class Limits:
    """Compiles the limits of one route; faults go to the merger."""

    def __init__(self, merger: Merger, policy: Policy, at: Location, parts: Parts) -> None:
        self.merger, self.policy, self.at, self.parts = merger, policy, at, parts
        self._names: dict[str, str] = {}
        self._at_once: dict[str, str] = {}
        state = merger.gateway.state
        self._redis = state is not None and state.redis is not None

    @cached_property
    def _rules(self) -> Authorization:
        """What compiles the rules of classes."""
        return Authorization(self.merger, self.policy, self.at, self.parts)

    def run(self) -> None:
        """Fills in the policy."""
        unlimited.merged(
            self.merger, self.policy, [(enforced(part.rate_limit), where) for part, where, _ in self.parts]
        )
        shared: dict[str, list[dict[str, Any]]] = {}
        for part, where, source in self.parts:
            scope = source.replace(" ", ":", 1)
            for name, item in part.rate_limit.items():
                place = (*where, "rate_limit", name)
                self._answered(part, item, place)
                if item.is_cost:
                    self._costs(name, item, shared.get(name), place)
                    continue
                classes: list[dict[str, Any]] = []
                named = self._classes(name, item, place, source, classes)
                made = list(item.compiled(name, scope, named, self._redis))
                self._check(item, made, place)
                for key, code, message in Sharing(item.shared, item.state_loss, self._redis).faults(made):
                    self.merger.fault((*place, key), code, message)
                if item.cost is not None and item.cost.after:
                    self._counted(made, item.enforced, (*place, "cost", "after"))
                repeats.check(self.merger, self.policy.access == "public", item, place, item.enforced)
                if item.enforced:
                    self.policy.rate_limits += made
                    self.policy.limit_classes += classes
                else:
                    self.policy.shadow_limits.append(rates(source, name, made, classes))
                if source.startswith("group "):
                    shared[name] = made
                for one in made:
                    self.named(str(one["name"]), source, place)
            for name, limit in part.address_limit.items():
                self._add(self.policy.address_limits, "address_limit", name, limit, source)
                self.named(name, source, (*where, "address_limit", name))
            for name, many in part.concurrency_limit.items():
                self._add(self.policy.concurrency_limits, "concurrency_limit", name, many, source)
                self._concurrency(many, (*where, "concurrency_limit", name))
                self.named(name, source, (*where, "concurrency_limit", name), self._at_once)
        quotas.merged(self)
        self._chosen()

    def _add(
        self,
        among: list[dict[str, Any]],
        key: str,
        name: str,
        limit: AddressLimit | ConcurrencyLimit,
        source: str,
    ) -> None:
        """A limit that is one document, where it belongs."""
        made = limit.compiled(name, source.replace(" ", ":", 1))
        if limit.enforced:
            among.append(made)
        else:
            self.policy.shadow_limits.append(tried(source, key, name, made))

    def _concurrency(self, item: ConcurrencyLimit, place: Location) -> None:
        self.callers(item.key, place)
        if item.fair and self.policy.access == "public":
            message = "a public route knows no callers who could share; remove `fair`"
            self.merger.fault((*place, "fair"), "limit_without_caller", message)

    def named(self, name: str, source: str, place: Location, names: dict[str, str] | None = None) -> None:
        """Names of rates stand in one header; those of requests at once do not."""
        known = self._names if names is None else names
        if name in known:
            self.merger.fault(
                place,
                "limit_twice",
                f"`{name}` is also a limit of {known[name]}; give it another name, both apply",
                True,
            )
        known[name] = source

    def _classes(
        self, name: str, item: RateLimit, place: Location, source: str, rules: list[dict[str, Any]]
    ) -> dict[str, str]:
        """The names of the classes in the document; their rules are added to those given."""
        return self.classes_of(item.classes, f"{source}: rate_limit.{name}", place, rules)

    def classes_of(
        self, classes: Mapping[str, Rule], source: str, place: Location, rules: list[dict[str, Any]]
    ) -> dict[str, str]:
        """The same, of classes that stand in a limit of this source."""
        found = {}
        for label, rule in classes.items():
            found[label] = f"{source}.{label}"
            where = (*place, "classes", label)
            if self.policy.access == "public":
                self.merger.fault(
                    where,
                    "limit_without_caller",
                    "a public route knows no callers, so none of a class; remove it",
                    True,
                )
                continue
            rules.append(self._rules.rule(rule, where, found[label]))
        return found

    def _costs(
        self, name: str, item: RateLimit, limits: list[dict[str, Any]] | None, place: Location
    ) -> None:
        """What a route costs in the limit of its group: never less than the group says."""
        if limits is None:
            self.merger.fault(
                place,
                "limit_incomplete",
                f"the group has no limit `{name}` for a cost; a limit of the route itself needs a `rate` and a `burst`",
                True,
            )
            return
        cost = item.cost
        if cost is None:
            return
        if cost.after:
            enforced_here = all(limit in self.policy.rate_limits for limit in limits)
            self._counted(limits, enforced_here, (*place, "cost", "after"))
        for index, limit in enumerate(limits):
            before = limit.get("cost", {"default": 1})
            if cost.cel or before.get("value"):
                message = "the group's cost or the route's is an expression, and the two cannot be compared; keep one"
                self.merger.fault((*place, "cost"), "cost_twice", message)
                return
            if self._after_twice(cost, before):
                message = "a cost that is charged after the answer goes together with one number in the other place (group or route), and nothing else; keep one"
                self.merger.fault((*place, "cost"), "cost_twice", message)
                return
            methods = {
                method: max(
                    before.get("methods", {}).get(method, before["default"]),
                    cost.methods.get(method, cost.default),
                )
                for method in sorted({*before.get("methods", {}), *cost.methods})
            }
            made = {
                "default": max(before["default"], cost.default),
                **({"methods": methods} if methods else {}),
                **({"after": before["after"]} if "after" in before else {}),
                **({"after": cost.after.compiled()} if cost.after else {}),
            }
            limits[index] = {**limit, "cost": made}
            if limit in self.policy.rate_limits:
                self.policy.rate_limits[self.policy.rate_limits.index(limit)] = limits[index]
        self._fits(limits, (*place, "cost"))

    def _answered(self, part: Group | Route, item: RateLimit, place: Location) -> None:
        """A cost charged after the answer is that of a service."""
        own = getattr(part, "redirect", None) or getattr(part, "respond", None)
        if own and item.cost is not None and item.cost.after:
            message = "the gateway answers this route itself, and no service whose answer could cost something; write a number"
            self.merger.fault((*place, "cost", "after"), "cost_invalid", message, True)

    def _counted(self, limits: list[dict[str, Any]], is_enforced: bool, place: Location) -> None:
        """A cost charged after the answer is charged in the memory of this instance, to limits that are enforced."""
        if any("shared" in limit for limit in limits):
            message = "a cost charged after the answer is counted by each instance for itself; add `shared: local` to the limit"
            self.merger.fault(place, "cost_invalid", message, True)
        if not is_enforced:
            message = "a cost charged after the answer cannot be tried out; remove it, or `mode: shadow` of the limit"
            self.merger.fault(place, "cost_invalid", message, True)

    @staticmethod
    def _after_twice(cost: LimitCost, before: dict[str, Any]) -> bool:
        """Whether costs charged after the answer cannot be joined: one of them can, with a number to reserve."""
        if cost.after is None and "after" not in before:
            return False
        return bool((cost.after and "after" in before) or cost.methods or before.get("methods"))

    def _check(self, item: RateLimit, made: list[dict[str, Any]], place: Location) -> None:
        self.callers(item.key, place)
        self.cost(item.cost, place)
        if self.policy.access == "public":
            return
        self._zones(item.schedule, (*place, "schedule"))
        for label, one in item.classes.items():
            self._zones(one.schedule, (*place, "classes", label, "schedule"))
        self._fits(made, (*place, "cost"))

    def cost(self, cost: LimitCost | None, place: Location) -> None:
        """Whether an expression comes to a cost."""
        if cost is None or not cost.cel:
            return
        if self.policy.access == "public":
            message = (
                "a public route knows no callers, of whom an expression could say the cost; write a number"
            )
            self.merger.fault((*place, "cost"), "limit_without_caller", message)
            return
        wanted = "a whole number, such as `request.size / 1024 + 1`"
        self._expression(cost.cel, ">= 0", (*place, "cost", "cel"), wanted)

    def callers(self, key: LimitKey | None, place: Location) -> None:
        """Whether the route knows whose the bucket is."""
        if self.policy.access == "public" and (key is None or key.what in {*CALLER, "cel"}):
            self.merger.fault(
                (*place, "key") if key else place,
                "limit_without_caller",
                "a public route knows no callers; write `key: route`, or use `address_limit`",
                key is None,
            )
        elif key is not None and key.what == "cel":
            self._expression(key.value, "== ''", (*place, "key", "cel"), "a text, such as `principal.tenant`")

    def _fits(self, limits: list[dict[str, Any]], place: Location) -> None:
        for limit in limits:
            cost = limit.get("cost", {"default": 1})
            most = max([cost["default"], *cost.get("methods", {}).values()])
            if most > limit["burst"]:
                self.merger.fault(
                    place,
                    "cost_beyond_burst",
                    f"a request costs {most}, and the burst of `{limit['name']}` is {limit['burst']}, so it could never pass; raise the burst",
                )

    def _zones(self, schedules: dict[str, LimitSchedule], place: Location) -> None:
        for name, item in schedules.items():
            if not condition.known_zone(item.zone):
                self.merger.fault(
                    (*place, name, "zone"),
                    "time_invalid",
                    f"there is no time zone `{item.zone}`; write an IANA name such as `Europe/Berlin`",
                )

    def _expression(self, text: str, compared: str, place: Location, wanted: str) -> None:
        """Checks an expression: compared with a value of its type, it is a condition."""
        found = template.read(self.policy.path)
        variables = [] if isinstance(found, str) else list(found.variables)
        claims = {name: self.merger.claim_types(name) for name in self.policy.callers_of}
        geo = self.merger.gateway.geo
        known = geo.readable if geo else []
        fault = condition.check(text, claims, [], variables, geo=known)
        typed = condition.check(f"({text}) {compared}", claims, [], variables, geo=known)
        if typed is None:
            return
        # Of no type at all, it is wrong by itself; otherwise only its type is.
        if fault is None or "a condition is true or false" in fault.message:
            fault = condition.Fault(0, f"this has to come to {wanted}")
        error = condition.error(self.merger, place, text, fault)
        if error not in self.merger.errors:
            self.merger.errors.append(error)

    def _chosen(self) -> None:
        """Whoever chooses the key chooses the bucket: another limit has to bound that."""
        if not any(part.rate_limit or part.quota for part, _, _ in self.parts):
            return
        limits = (*self.policy.rate_limits, *self.policy.quotas)
        sure = any(
            isinstance(one["key"], str) and "class" not in one and "during" not in one for one in limits
        )
        if sure or self.policy.address_limits:
            return
        for part, where, _ in self.parts:
            keyed = (
                *(("rate_limit", name, item.key) for name, item in part.rate_limit.items() if item.enforced),
                *(("quota", name, item.key) for name, item in part.quota.items()),
            )
            names = [(kind, name) for kind, name, key in keyed if key and key.what in {"header", "cel"}]
            if names:
                beside = "key: route" if self.policy.access == "public" else "key: principal"
                self.merger.fault(
                    (*where, *names[0], "key"),
                    "limit_key_chosen",
                    f"callers may choose what {listed([name for _, name in names])} is keyed by, and each value has a bucket of its own; "
                    f"add a limit with `{beside}` beside it",
                )
