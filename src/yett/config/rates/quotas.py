"""The quotas of a group and a route become one list: all apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yett.config.authorization import condition
from yett.config.rates import repeats

if TYPE_CHECKING:
    from yett.config.base import Location
    from yett.config.filters.quota import Quota
    from yett.config.gateway import Gateway
    from yett.config.merge import Merger
    from yett.config.rates.merge import Limits


def merged(limits: Limits) -> None:
    """Fills in the policy's quotas; faults go to the merger."""
    for part, where, source in limits.parts:
        for name, item in part.quota.items():
            _one(limits, item, name, source, (*where, "quota", name))


def _one(limits: Limits, item: Quota, name: str, source: str, place: Location) -> None:
    merger, policy = limits.merger, limits.policy
    classes = limits.classes_of(item.classes, f"{source}: quota.{name}", place, policy.limit_classes)
    redis = _has_redis(merger.gateway)
    made = list(item.compiled(name, source.replace(" ", ":", 1), classes, redis))
    policy.quotas += made
    limits.callers(item.key, place)
    limits.cost(item.cost, place)
    repeats.check(merger, policy.access == "public", item, place, True)
    if item.is_shared(redis) and not redis:
        message = "instances share quotas by a Redis; add `state: {redis: {url: …}}`, or remove `shared`"
        merger.fault((*place, "shared"), "limit_without_redis", message)
    if item.cost is not None and item.cost.after:
        message = "a quota is charged before a service is asked; write a number, or one for each method, or an expression"
        merger.fault((*place, "cost", "after"), "cost_invalid", message, True)
    if not condition.known_zone(item.zone):
        merger.fault(
            (*place, "zone"),
            "time_invalid",
            f"there is no time zone `{item.zone}`; write an IANA name such as `Europe/Berlin`",
        )
    for one in made:
        limits.named(str(one["name"]), source, place)
        if item.cost is not None and item.cost.cel is None and item.cost.most > one["amount"]:
            merger.fault(
                (*place, "cost"),
                "cost_beyond_amount",
                f"a request costs {item.cost.most}, and the amount of `{one['name']}` is {one['amount']}, so it could never pass; "
                "raise the amount",
            )


def _has_redis(gateway: Gateway) -> bool:
    return gateway.state is not None and gateway.state.redis is not None


def weakened(gateway: Gateway) -> list[str]:
    """What is weaker than it could be, in sentences."""
    return [
        f"quota `{name}` of {kind} `{label}` is counted {_alone(item, gateway)} (`state_loss: local`)"
        for kind, parts in (("group", gateway.groups), ("route", gateway.routes))
        for label, part in parts.items()
        for name, item in part.quota.items()
        if item.state_loss == "local"
    ]


def _alone(item: Quota, gateway: Gateway) -> str:
    if item.is_shared(_has_redis(gateway)):
        return "by each instance for itself while Redis does not answer"
    return "in memory alone while it cannot be written down"


def check_state(merger: Merger) -> None:
    """What is used has to be kept somewhere."""
    gateway = merger.gateway
    if gateway.state is not None and gateway.state.directory is not None:
        return
    redis = _has_redis(gateway)
    for section in ("groups", "routes"):
        for label, part in getattr(gateway, section).items():
            if part.quota and not all(quota.is_shared(redis) for quota in part.quota.values()):
                merger.fault(
                    (section, label, "quota"),
                    "quota_without_state",
                    "what is used of a quota has to survive a restart; add `state: {directory: /var/lib/yett}`, or share it by a Redis",
                    True,
                )
                return
