"""Requests per caller or per route: a rate and a burst (GCRA)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WrapValidator, model_validator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.filters.authorize import Rule
from yett.config.rates.measure import Cost, Key, LimitCost, LimitKey, key_document
from yett.config.rates.repeats import Idempotency
from yett.config.rates.schedule import Cron
from yett.config.rates.shared import Sharing
from yett.config.shadow import Tried
from yett.config.types import Name, Text
from yett.config.unlimited import OrNone, or_none


def _burst(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse(
            "burst_invalid", f"`{value}` is not a burst; write a whole number of requests, such as `100`"
        )
    if value == 0:
        raise refuse("burst_zero", "a burst of 0 refuses everything; write at least 1")
    if not 0 < value <= 1_000_000_000:
        raise refuse("burst_invalid", f"`{value}` is out of range; write 1 to 1000000000")
    return value


Burst = Annotated[int, BeforeValidator(_burst)]
"""Requests that may come at once, at least 1."""


class LimitWindow(Model):
    """One of several rates that apply together."""

    rate: units.Rate
    """Requests in the long run, such as `1000/h`."""
    burst: Burst
    """Requests that may come at once."""


class _Paced:
    """A rate and a burst, or several windows: what a limit, a class and a schedule have in common."""

    rate: str | None
    burst: int | None
    windows: dict[str, LimitWindow]

    def paces(self) -> Iterator[tuple[str, str, int]]:
        """For each window what is put behind the name of the limit, the rate and the burst."""
        if self.rate is not None and self.burst is not None:
            yield "", self.rate, self.burst
        for name, window in self.windows.items():
            yield f".{name}", window.rate, window.burst

    def agree(self) -> None:
        """Says what is missing of a rate and its burst, or what stands twice."""
        if self.windows and (self.rate is not None or self.burst is not None):
            raise refuse("limit_windows", "`windows` stands in place of `rate` and `burst`; keep one of them")
        if (self.rate is None) != (self.burst is None):
            missing = "rate: 50/s" if self.rate is None else "burst: 100"
            raise refuse("limit_incomplete", f"a limit is a rate and a burst; add `{missing}`")


def _length(value: Any) -> Any:
    if not 60_000 <= units.milliseconds(value) <= 86_400_000 or units.milliseconds(value) % 60_000:
        raise refuse("out_of_range", f"`{value}` is out of range; write whole minutes, `1m` to `24h`")
    return value


class LimitSchedule(Model, _Paced):
    """A time that comes again, with a rate and a burst of its own, which count in place of the others."""

    cron: Cron
    """When it begins: minute, hour, day of the month, month, day of the week (crontab(5)), such as `"0 * * * *"`."""
    zone: Text
    """An IANA time zone such as `Europe/Berlin`."""
    for_: Annotated[units.Duration, BeforeValidator(_length)]
    """How long it lasts, whole minutes, at most `24h`."""
    rate: units.Rate | None = None
    """Requests in the long run, such as `50/s`."""
    burst: Burst | None = None
    """Requests that may come at once."""
    windows: dict[Name, LimitWindow] = Field(default_factory=dict)
    """Several rates that apply together, by name, in place of `rate` and `burst`."""

    model_config = {
        **Model.model_config,
        "alias_generator": lambda name: name.rstrip("_"),
        "populate_by_name": True,
    }

    @model_validator(mode="after")
    def _whole(self) -> LimitSchedule:
        self.agree()
        if self.rate is None and not self.windows:
            raise refuse("limit_incomplete", "a schedule has a rate and a burst of its own; add them")
        return self

    def calendar(self) -> dict[str, Any]:
        """Its time in the intermediate representation."""
        long = units.milliseconds(self.for_) // 60_000
        return {**self.cron.compiled(), "zone": self.zone, "minutes_long": long}


class LimitClass(Rule, _Paced):
    """A class of callers, by the parts of a rule of `authorize`, and what counts for them in place of the limit."""

    rate: units.Rate | None = None
    """Requests in the long run, such as `50/s`."""
    burst: Burst | None = None
    """Requests that may come at once."""
    windows: dict[Name, LimitWindow] = Field(default_factory=dict)
    """Several rates that apply together, by name, in place of `rate` and `burst`."""
    schedule: dict[Name, LimitSchedule] = Field(default_factory=dict)
    """Times at which another rate and burst count for the class."""

    @model_validator(mode="after")
    def _whole(self) -> LimitClass:
        self.agree()
        if self.rate is None and not self.windows:
            raise refuse("limit_incomplete", "a class has a rate and a burst of its own; add them")
        if self.is_empty():
            raise refuse(
                "class_empty",
                "the class names nobody; write `callers`, `scopes`, `roles`, `claims` or `when`",
            )
        return self


class RateLimit(Tried, _Paced):
    """A rate and a burst for each caller, or for all callers of a route together."""

    rate: units.Rate | None = None
    """Requests in the long run, such as `50/s`."""
    burst: Burst | None = None
    """Requests that may come at once."""
    windows: dict[Name, LimitWindow] = Field(default_factory=dict)
    """Several rates that apply together, by name, in place of `rate` and `burst`."""
    key: Key | None = None
    """Whose bucket: `principal` (each verified caller's, the default), `client`, `key`, `token`, `session`, `partner`, `tenant`,
    `{header: NAME}`, `{cel: TEXT}`, or `route`, one for everyone."""
    cost: Cost | None = None
    """What a request costs: `5`, `{GET: 1, POST: 5, default: 2}`, `{cel: TEXT}` or, once its answer has ended,
    `{after: {header: x-cost, missing: 1}}`, `{after: {bytes: 64KiB}}`, `{after: {time: 100ms}}`; 1 otherwise."""
    idempotency: Idempotency | None = None
    """Repeats of a request with the same `Idempotency-Key` that cost nothing: `{repeats: 2, within: 60s}`; each costs where nothing
    is said."""
    classes: dict[Name, LimitClass] = Field(default_factory=dict)
    """Classes of callers with a rate and a burst of their own."""
    schedule: dict[Name, LimitSchedule] = Field(default_factory=dict)
    """Times at which another rate and burst count."""
    jitter: units.Duration | None = None
    """At most so much is added to `Retry-After`, so that callers do not come back together; whole seconds."""
    shared: Literal["exact", "cached", "local"] | None = None
    """How instances share it by `state.redis`: each request is charged there (`exact`, the default with a Redis), parts of the
    burst are leased ahead (`cached`), or each instance counts for itself (`local`)."""
    state_loss: Literal["refuse", "local", "fail_open"] | None = None
    """What happens while Redis does not answer: requests are refused (`refuse`, the default), each instance counts for itself
    (`local`), or they pass without being counted (`fail_open`)."""

    @model_validator(mode="after")
    def _whole(self) -> RateLimit:
        self.agree()
        if (
            self.rate is None
            and not self.windows
            and (self.cost is None or self.model_fields_set != {"cost"})
        ):
            raise refuse(
                "limit_incomplete", "a limit is a rate and a burst; add `rate: 50/s` and `burst: 100`"
            )
        if self.jitter is not None and units.milliseconds(self.jitter) % 1000:
            raise refuse("out_of_range", f"`{self.jitter}`: write whole seconds, such as `10s`", ("jitter",))
        return self

    @property
    def is_cost(self) -> bool:
        """Whether it only says what a route costs in the limit of its group."""
        return self.rate is None and not self.windows

    def compiled(
        self, name: str, scope: str, sources: dict[str, str], redis: bool
    ) -> Iterator[dict[str, Any]]:
        """The limits in the intermediate representation; `sources` has the names of the classes there, `redis` says whether
        instances have one."""
        shared: dict[str, Any] = Sharing(self.shared, self.state_loss, redis).compiled()
        if self.cost is not None:
            shared["cost"] = self.cost.compiled()
        if self.idempotency is not None:
            shared["idempotency"] = self.idempotency.compiled()
        if self.jitter is not None:
            shared["jitter_s"] = units.milliseconds(self.jitter) // 1000
        others = {"except": sorted(sources.values())} if sources else {}
        paced: list[tuple[str, _Paced, dict[str, LimitSchedule], dict[str, Any]]] = [
            (name, self, self.schedule, others)
        ]
        for label, item in self.classes.items():
            paced.append((f"{name}.{label}", item, item.schedule, {"class": sources[label]}))
        key = key_document(self.key or LimitKey("principal"))
        for label, pace, schedule, who in paced:
            outside = [item.calendar() for item in schedule.values()]
            timed: list[tuple[str, _Paced, dict[str, Any]]] = [
                (label, pace, {"outside": outside} if outside else {}),
                *((f"{label}.{part}", item, {"during": item.calendar()}) for part, item in schedule.items()),
            ]
            for called, one, when in timed:
                for suffix, rate, burst in one.paces():
                    document = limit(called + suffix, scope, rate, burst, key)
                    yield {**document, **shared, **who, **when}


def limit(name: str, scope: str, rate: str, burst: int, key: Any) -> dict[str, Any]:
    """A limit in the intermediate representation."""
    count, period = units.rate(rate)
    return {"name": name, "scope": scope, "count": count, "period_ms": period, "burst": burst, "key": key}


def named(value: Any) -> Any:
    """Refuses a limit that stands where limits by name belong."""
    if isinstance(value, dict) and any(
        key in {"rate", "burst", "key"} and not isinstance(part, dict) for key, part in value.items()
    ):
        raise refuse(
            "limit_unnamed",
            "a limit has a name, which stands in answers and in the log; write it around this: `per-caller: {rate: …, burst: …}`",
        )
    return value


RateLimits = Annotated[dict[Name, RateLimit], BeforeValidator(named), WrapValidator(or_none), OrNone()]
"""Limits by name, or `{none: "reason"}`."""

__all__ = [
    "Burst",
    "LimitClass",
    "LimitCost",
    "LimitSchedule",
    "LimitWindow",
    "RateLimit",
    "RateLimits",
    "limit",
]
