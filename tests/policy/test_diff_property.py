"""`yett diff` never calls a widening a narrowing: random pairs of configurations, random requests, asked of both."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support import geo, random_parts
from tests.support.api_keys import KeyFile
from tests.support.configs import write_secret
from tests.support.issuer import Issuer
from tests.support.random_parts import SHADOW
from yett import _core
from yett.config import compile_file
from yett.errors import ConfigurationError
from yett.policy.diff import document
from yett.policy.diff.change import Kind
from yett.policy.engine import Engine, Question, Unanswerable

Config = dict[str, Any]
PATHS = ("/a", "/a/{id}", "/a/b", "/{tenant}/a", "/{rest...}", "/a/{rest...}", "/b/{x}/c")
TARGETS = (
    "/a",
    "/a/1",
    "/a/b",
    "/acme/a",
    "/globex/a",
    "/b/1/c",
    "/zz/y",
    "/a/b/c",
    "/a;x",
    "/a//b",
    "/a?v=2&tenant=acme",
)
HOST_NAMES = ("x.shop.test", "y.shop.test", "a.x.shop.test", "other")
METHODS: tuple[Any, ...] = ("GET", "POST", {"any_of": ["GET", "POST"]}, {"any_of": ["GET", "DELETE"]})
HOSTS: tuple[Any, ...] = (
    "any",
    "x.shop.test",
    {"any_of": ["x.shop.test", "y.shop.test"]},
    "*.shop.test",
    "*.x.shop.test",
)
SCOPES: tuple[Any, ...] = (
    "r", "w", {"any_of": ["r", "w"]}, {"all_of": ["r", "w"]}, {"any_of": ["r", "w", "x"]},
    {"methods": {"GET": "r", "POST": "w", "DELETE": "x"}}, {"methods": {"GET": {"any_of": ["r", "w"]}, "POST": "x", "DELETE": "w"}},
)  # fmt: skip
ROLES: tuple[Any, ...] = (
    "admin",
    "staff",
    {"any_of": ["admin", "staff"]},
    {"all_of": ["admin", "staff"]},
    "boss",
)
CONDITIONS = (
    "principal.subject == 'ann'", "request.method == 'GET'", "principal.claims.level >= 2", "principal.claims.level >= 1 && request.method == 'GET'",
    "request.method == 'GET' && principal.claims.level >= 2", "principal.claims.level >= 2 || principal.subject == 'ann'", "principal.subject != 'bob'",
    "'&&' != principal.subject && request.method == 'GET'", "route.name == 'r0'",
    "request.method == 'GET' // && principal.claims.level >= 2\n", "principal.claims.level >= 2 &&\n  true // && principal.subject == 'ann'\n",
    *random_parts.CONDITIONS,
)  # fmt: skip
CLAIMS: tuple[Any, ...] = (
    {"plan": "gold"}, {"plan": {"any_of": ["gold", "free"]}}, {"plan": {"none_of": ["free"]}}, {"level": {"at_least": 2}}, {"level": {"at_least": 1, "at_most": 3}},
)  # fmt: skip
DEVICES: tuple[Any, ...] = ({"posture": "ok"}, {"posture": {"any_of": ["ok", "warn"]}}, {"posture": "warn"})
NETWORKS: tuple[Any, ...] = ("10.0.0.0/8", "10.1.0.0/16", ["10.0.0.0/8", "192.0.2.0/24"])
TIMES: tuple[Any, ...] = (
    {"days": "mon-fri", "from": "08:00", "until": "18:00", "zone": "UTC"}, {"from": "00:00", "until": "24:00", "zone": "UTC"},
    {"days": "mon-fri", "from": "10:00", "until": "13:00", "zone": "UTC"}, {"days": "sat-sun", "from": "22:00", "until": "02:00", "zone": "Europe/Berlin"},
)  # fmt: skip
CALLERS: tuple[Any, ...] = ({"users": "ann"}, {"users": ["ann", "bob"]}, {"clients": "app"}, {"keys": "acme"})
PROVIDERS: tuple[Any, ...] = (
    "id",
    "keys",
    {"any_of": ["id", "keys"]},
    {"any_of": ["id", "other"]},
    {"all_of": ["id", "keys"]},
    {"any_of": ["id", "other", "keys"]},
    "web",
    {"any_of": ["id", "web"]},
)
LIMITS: tuple[Any, ...] = (
    {"rate": "1/s", "burst": 1, "key": "principal"},
    {"rate": "2/s", "burst": 2, "key": "principal"},
    {"rate": "1/s", "burst": 1, "key": "route"},
    {"rate": "2/s", "burst": 2, "key": "tenant"},
    {"windows": {"s": {"rate": "1/s", "burst": 1}, "m": {"rate": "30/m", "burst": 2}}},
    {"windows": {"s": {"rate": "2/s", "burst": 2}, "m": {"rate": "30/m", "burst": 2}}},
    {"rate": "1/s", "burst": 2, "cost": {"GET": 2, "default": 1}},
    {"rate": "1/s", "burst": 2, "cost": {"GET": 1, "POST": 2}},
    {"rate": "1/s", "burst": 2, "cost": {"cel": "request.method == 'GET' ? 2 : 1"}},
    {"rate": "1/s", "burst": 1, "classes": {"ann": {"callers": {"users": "ann"}, "rate": "2/s", "burst": 2}}},
    {
        "rate": "1/s",
        "burst": 1,
        "classes": {"ann": {"callers": {"users": ["ann", "bob"]}, "rate": "2/s", "burst": 2}},
    },
    {"rate": "2/s", "burst": 2, "classes": {"ann": {"callers": {"users": "ann"}, "rate": "1/s", "burst": 1}}},
    {
        "rate": "1/s",
        "burst": 1,
        "schedule": {"noon": {"cron": "0 12 * * *", "zone": "UTC", "for": "1h", "rate": "2/s", "burst": 2}},
    },
    {
        "rate": "1/s",
        "burst": 1,
        "schedule": {"noon": {"cron": "0 12 * * *", "zone": "UTC", "for": "2h", "rate": "2/s", "burst": 2}},
    },
)
AT_ONCE: tuple[Any, ...] = (
    {"requests": 1},
    {"requests": 2},
    {"requests": 2, "fair": "tenant"},
    {"requests": 1, "key": "route"},
)
# A Wednesday, at noon.
PARTS: dict[str, tuple[Any, ...]] = {
    "scopes": SCOPES, "roles": ROLES, "when": CONDITIONS, "claims": CLAIMS, "device": DEVICES, "addresses": NETWORKS, "times": TIMES, "callers": CALLERS,
}  # fmt: skip
OFTEN = {"tenant": 0.3, "rate_limit": 0.25, "deny": 0.15, "bot_filter": 0.2, "login_guard": 0.2, "csrf": 0.2}
NOW_MS = 1795608000000


def tried_out(route: Config) -> None:
    """A rule goes into shadow, or is enforced again."""
    rule = route["authorize"]
    if rule.keys() & SHADOW.keys():
        for key in SHADOW:
            del rule[key]
        route.pop("access", None)
    else:
        rule |= SHADOW
        route["access"] = "authenticated"


class World:
    """What all configurations share, and how they and requests are drawn."""

    def __init__(self, directory: Path, issuer: Issuer, tls: Config) -> None:
        self.directory, self.issuer = directory, issuer
        keys = KeyFile(directory)
        self.key = keys.add("acme", scopes=["r"], tenant="acme", roles=["staff"])
        keys.add("globex", scopes=["r", "w"], tenant="globex")
        self.tokens = {
            scope: issuer.token(scope=scope, sub="ann", tenant="acme", roles=["admin"], level=2, plan="gold")
            for scope in ("r", "r w", "")
        }
        jwks = issuer.jwks_file(directory)
        geo.database(directory / "asn.mmdb", "asn", random_parts.SYSTEMS)
        secrets = {
            name: {"file": write_secret(directory, name, b"ab" * 32)}
            for name in ("client.secret", "session.key")
        }
        claims = {
            "tenant": "tenant",
            "roles": "roles",
            "plan": "plan",
            "level": {"from": "level", "type": "int"},
            "device_posture": "device_posture",
        }
        self.base: Config = {
            "version": 1,
            "listeners": {"main": {"address": "127.0.0.1:0", "tls": tls}},
            "geo": {"asn": "asn.mmdb", "unavailable": "unknown"},
            "identity_providers": {
                "web": {
                    "type": "oidc", "issuer": "https://web.test", "client": {"id": "shop", "secret": secrets["client.secret"]}, "claims": claims,
                    "session": {"keys": [secrets["session.key"]]},
                },
                "id": {"type": "jwt", "issuer": issuer.issuer, "audience": {"any_of": ["shop", "shop2"]}, "jwks": jwks, "plaintext": "test", "claims": claims, "algorithms": ["ES256", "RS256"]},
                "other": {"type": "jwt", "issuer": "https://other.test", "audience": "shop", "jwks": jwks, "claims": claims},
                "keys": {"type": "api_key", "keys": str(keys.path)},
            },
            "services": {"origin": {"endpoints": "http://127.0.0.1:9", "plaintext": "test"}, "second": {"endpoints": "http://127.0.0.1:10", "plaintext": "test"}},
        }  # fmt: skip
        if issuer.issuer.startswith("https"):
            del self.base["identity_providers"]["id"]["plaintext"]

    # configurations

    def part(self, rng: random.Random, key: str) -> Any:
        """A part of a route or group."""
        pick = rng.choice
        if key == "authorize":
            return self.rule(rng)
        if key in random_parts.MAKE:
            return random_parts.MAKE[key](rng)
        if key == "deny":
            return {pick(("d0", "d1")): self.rule(rng) | (SHADOW if rng.random() < 0.3 else {})}
        if key == "rate_limit":
            return {"one": pick(LIMITS) | (SHADOW if rng.random() < 0.15 else {})}
        if key == "concurrency_limit":
            return {"one": pick(AT_ONCE) | (SHADOW if rng.random() < 0.15 else {})}
        if key == "address_limit":
            limit = {"rate": pick(("1/s", "2/s")), "burst": pick((1, 2))}
            return {"near": limit | (SHADOW if rng.random() < 0.15 else {})}
        return {
            "authenticate": lambda: pick(PROVIDERS), "hidden": lambda: True,
            "sender_constrained": lambda: pick(("dpop", "any")), "limits": lambda: {"body": pick(("1KiB", "1MiB"))}, "priority": lambda: "high",
            "path": lambda: {"allow": [pick(("semicolon", "empty_segment"))]}, "classification": lambda: pick(("public", "internal")),
            "tenant": lambda: pick(("query.tenant", "query.tenant", "path.tenant", {"none": "test"})),
        }[key]()  # fmt: skip

    def rule(self, rng: random.Random) -> Config:
        names = rng.sample(sorted(PARTS), rng.choice((1, 1, 2, 3)))
        return {name: copy.deepcopy(rng.choice(PARTS[name])) for name in names}

    def route(self, rng: random.Random) -> Config:
        route: Config = {
            "match": {"path": rng.choice(PATHS), "methods": rng.choice(METHODS), "hosts": rng.choice(HOSTS)},
            "service": rng.choice(("origin", "second")),
        }
        if rng.random() < 0.15:
            route["match"]["query"] = {"v": "2"}
        if rng.random() < 0.1:
            route["match"]["headers"] = {"x-v": "1"}
        kind = rng.random()
        for key in random_parts.MAKE:
            if rng.random() < OFTEN[key]:
                route[key] = self.part(rng, key)
        if route["match"]["methods"] == "GET":
            # nobody logs in with it
            route.pop("login_guard", None)
        if kind < 0.15:
            # nobody has a session there
            for key in {"token", "form"} & set(route.get("csrf", ())):
                del route["csrf"][key]
            return route | {"access": "public"}
        route["tenant"] = {"none": "test"}
        route["authenticate"] = rng.choice(PROVIDERS)
        if kind < 0.3:
            route["access"] = "authenticated"
        else:
            route["authorize"] = self.rule(rng)
        for key in (
            "deny",
            "rate_limit",
            "hidden",
            "sender_constrained",
            "address_limit",
            "concurrency_limit",
            "path",
            "classification",
            "tenant",
        ):
            if rng.random() < OFTEN.get(key, 0.08):
                route[key] = self.part(rng, key)
        if set(route.get("authorize", ())) & {"claims", "device", "when"}:
            # keys have no claims, so such a route would not load with them
            route["authenticate"] = rng.choice(
                ("id", {"any_of": ["id", "other"]}, "web", {"any_of": ["id", "web"]})
            )
        if {"token", "form"} & set(route.get("csrf", ())):
            # who has no session has no token of it
            route["authenticate"] = rng.choice(("web", {"any_of": ["id", "web"]}))
        return route

    def plain(self, rng: random.Random) -> Config:
        """A route that takes nearly everything but for its filters, so that these decide."""
        methods = rng.choice(("POST", {"any_of": ["GET", "POST"]}))
        route: Config = {
            "match": {"path": "/{rest...}", "methods": methods, "hosts": "any"},
            "service": "origin",
        }
        route |= {key: self.part(rng, key) for key in random_parts.MAKE if rng.random() < 0.5}
        if "token" in route.get("csrf", ()) or rng.random() < 0.5:
            return route | {
                "authenticate": rng.choice(("web", {"any_of": ["id", "web"]})),
                "access": "authenticated",
                "tenant": {"none": "test"},
            }
        return route | {"access": "public"}

    def config(self, rng: random.Random) -> Config:
        made = copy.deepcopy(self.base)
        made["classifications"] = ["public", "internal"]
        if rng.random() < 0.4:
            made["routes"] = {"plain": self.plain(rng)}
            return made
        made["routes"] = {f"r{index}": self.route(rng) for index in range(rng.choice((1, 2, 2, 3)))}
        return made

    def changed(self, rng: random.Random, before: Config) -> Config:
        """One to three small changes."""
        made = copy.deepcopy(before)
        for _ in range(rng.choice((1, 1, 2, 3))):
            self._change(rng, made)
        return made

    def _change(self, rng: random.Random, made: Config) -> None:
        names = sorted(made["routes"])
        name = rng.choice(names)
        route = made["routes"][name]
        if name == "plain":
            self._change_filter(rng, route, rng.choice(sorted(random_parts.MAKE)))
            return
        what = rng.random()
        if what < 0.08 and len(names) > 1:
            del made["routes"][name]
        elif what < 0.14:
            made["routes"][f"r{len(names)}"] = self.route(rng)
        elif what < 0.18:
            made["routes"][f"n{rng.randrange(9)}"] = made["routes"].pop(name)
        elif what < 0.34:
            key, values = rng.choice(
                (
                    ("path", PATHS),
                    ("methods", METHODS),
                    ("hosts", HOSTS),
                    ("query", ({"v": "2"}, {})),
                    ("headers", ({"x-v": "1"}, {})),
                )
            )
            route["match"][key] = copy.deepcopy(rng.choice(values))
        elif what < 0.38 and "authorize" in route:
            tried_out(route)
        elif what < 0.6 and "authorize" in route:
            parts = sorted(route["authorize"].keys() - SHADOW.keys())
            there = rng.choice(parts)
            if rng.random() < 0.5:
                route["authorize"][there] = copy.deepcopy(rng.choice(PARTS[there]))
            elif rng.random() < 0.5 or len(parts) == 1:
                route["authorize"] |= self.rule(rng)
            else:
                route["authorize"].pop(there)
        elif what < 0.68:
            self._change_provider(rng, made)
        elif what < 0.72:
            limits = {"near": {"rate": rng.choice(("1/s", "2/s")), "burst": rng.choice((1, 2))}}
            made["listeners"]["main"]["address_limit"] = rng.choice((limits, {}))
        elif what < 0.76:
            route["service"] = rng.choice(("origin", "second"))
        else:
            key = rng.choice(
                (
                    "deny",
                    "authenticate",
                    "rate_limit",
                    "hidden",
                    "sender_constrained",
                    "limits",
                    "address_limit",
                    "concurrency_limit",
                    "path",
                    "classification",
                    "priority",
                    "tenant",
                    *(4 * sorted(random_parts.MAKE)),
                )
            )
            if key in random_parts.MAKE:
                self._change_filter(rng, route, key)
            elif key in route and rng.random() < 0.5 and key != "authenticate":
                route.pop(key)
            else:
                route[key] = self.part(rng, key)

    def _change_filter(self, rng: random.Random, route: Config, key: str) -> None:
        if key in route and rng.random() < 0.1:
            route.pop(key)
        elif key in route:
            route[key] = random_parts.altered(rng, key, route[key])
        else:
            route[key] = self.part(rng, key)

    def _change_provider(self, rng: random.Random, made: Config) -> None:
        provider = made["identity_providers"]["id"]
        key = rng.choice(
            (
                "audience",
                "algorithms",
                "leeway",
                "max_age",
                "clients",
                "token_type",
                "sender_constrained",
                "gone",
            )
        )
        if key == "gone":
            made["identity_providers"].pop(rng.choice(("other", "keys", "web")), None)
            return
        provider[key] = rng.choice({
            "audience": ("shop", {"any_of": ["shop", "shop2"]}, {"any_of": ["shop2", "shop3"]}), "algorithms": ("ES256", "RS256", ["ES256", "RS256"]), "leeway": ("0s", "60s"),
            "max_age": ("5m", "1h"), "clients": ("app", {"any_of": ["app", "web"]}), "token_type": ("at+jwt", "any-access"), "sender_constrained": ("dpop", "any"),
        }[key])  # fmt: skip

    def engine(self, config: Config, name: str) -> Engine | None:
        """Nothing where such a configuration does not load."""
        file = self.directory / name
        file.write_text(json.dumps(config))
        try:
            compiled = compile_file(file)
            return Engine(compiled.ir, compiled.secrets, offline=True)
        except (ConfigurationError, _core.ApplyError):
            return None

    # requests

    def question(self, rng: random.Random, engines: tuple[Engine, Engine]) -> Question:
        """Near what some route takes, by a caller who often has enough: what is refused anyway shows nothing."""
        pick = rng.choice
        route = pick(pick(engines).routes)
        match = route["match"]
        method = pick(("GET", "POST", "HEAD", "DELETE")) if rng.random() < 0.2 else pick(match["methods"])
        host = pick(match["hosts"] or HOST_NAMES).replace("*.", "a.")
        host = pick(HOST_NAMES) if rng.random() < 0.2 else host
        values = {
            "{tenant}": pick(("acme", "globex")),
            "{id}": pick(("1", "b", "a")),
            "{x}": "1",
            "{rest...}": pick(("a", "a/1", "b/1/c", "zz")),
        }
        path = match["path"]
        for variable, value in values.items():
            path = path.replace(variable, value)
        query = pick(("", "v=2", "v=2", "tenant=acme", "tenant=acme&v=2"))
        target = pick(TARGETS) if rng.random() < 0.15 else f"{path}?{query}"
        headers = [("X-V", "1")] if rng.random() < 0.5 else []
        headers += random_parts.fields(rng, route, host)
        content = None
        if method in {"POST", "DELETE"} and ({"login_guard", "csrf"} & route.keys() or rng.random() < 0.1):
            kind, content = random_parts.body(rng)
            headers.append(("Content-Type", kind))
        time = NOW_MS + pick((0, 0, 0, 12 * 3600_000, 3 * 86400_000))
        principals: list[dict[str, Any]] = []
        access = route["access"]
        accepted = access["authenticated"] if isinstance(access, dict) else {"providers": ["id"]}
        wanted = accepted["providers"] if accepted.get("all_of") else [pick(accepted["providers"])]
        if rng.random() < 0.1:
            wanted = pick(([], ["id", "keys"], ["other"], ["keys"]))
        for name in wanted:
            if name == "keys" and rng.random() < 0.3:
                headers.append(("X-Api-Key", self.key))
            elif name == "keys":
                principals.append({"provider": "keys", "name": pick(("acme", "globex"))})
            elif name == "id" and rng.random() < 0.1:
                headers.append(("Authorization", f"Bearer {self.tokens[pick(sorted(self.tokens))]}"))
            else:
                principals.append({"provider": name, "claims": self.claims(rng, route["name"] == "plain")})
        return Question(
            method, f"https://{host}{target}", tuple(headers), address=pick(("192.0.2.1", "10.1.2.3", "10.2.3.4")), time_ms=time,
            principals=tuple(principals), times=pick((1, 1, 1, 2, 3) if "login_guard" not in route else (1, 2, 3, 4, 8)), body=content,
            ja4=pick(random_parts.HELLOS),
        )  # fmt: skip

    def claims(self, rng: random.Random, whole: bool) -> Config:
        """Much, and one or the other thing less, but where all of it is wanted."""
        claims = {
            "sub": "ann", "scope": "r w x", "roles": ["admin", "staff", "boss"], "tenant": "acme", "plan": "gold", "level": 3, "device_posture": "ok",
            "client_id": "app", "aud": "shop",
        }  # fmt: skip
        less: dict[str, tuple[Any, ...]] = {
            "sub": ("bob", "eve", "mallory"), "scope": ("", "r", "w", "x", "r w"), "roles": ([], ["admin"], ["staff"], ["boss"]), "tenant": ("globex",),
            "plan": ("free", "none"), "level": (0, 1, 2, 4), "device_posture": ("warn", "bad"), "client_id": ("web",), "aud": ("shop2", "shop3"),
            "exp": (NOW_MS // 1000 - 30,), "iat": (NOW_MS // 1000 - 1800,),
        }  # fmt: skip
        for name in rng.sample(sorted(less), rng.choice((0, 1, 1, 2, 3)) if not whole else 0):
            claims[name] = rng.choice(less[name])
        for absent in rng.sample(
            ["scope", "roles", "tenant", "plan", "level", "device_posture"],
            rng.choice((0, 0, 0, 1)) if not whole else 0,
        ):
            del claims[absent]
        return claims


def widened(old: Engine, new: Engine, questions: list[Question]) -> list[tuple[Question, str, str]]:
    """Those that the new one lets in and the old one refuses."""
    asked = []
    for question in questions:
        known = [{provider["name"] for provider in engine.providers} for engine in (old, new)]
        named = {principal["provider"] for principal in question.principals}
        try:
            pair = (old.asked(question), new.asked(question))
        except Unanswerable:
            continue
        if named <= known[1]:
            asked.append((question, *pair, named <= known[0]))
    after = new.decide_many([one for _, _, one, _ in asked])
    before = old.decide_many([one for _, one, _, fits in asked if fits])
    answers = iter(before)
    found = []
    for (question, _, _, fits), now in zip(asked, after, strict=True):
        then = next(answers) if fits else {"refusal": {"reason": "no such provider"}, "outcome": "refuse"}
        if now["outcome"] != "refuse" and then["outcome"] == "refuse":
            found.append((question, then["refusal"]["reason"], str(now["route"])))
    return found


# Pairs of one test, so that each has its own time limit; seeds of one never reach those of the next.
EACH, SEEDS = 50, 500


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "first" in metafunc.fixturenames:
        metafunc.parametrize("first", range(0, metafunc.config.getoption("--pairs"), EACH))


def test_what_lets_in_more_is_called_a_widening(
    tmp_path: Path, issuer: Any, listener_tls: Config, first: int
) -> None:
    world = World(tmp_path, issuer(), listener_tls)
    pairs, widening, narrower = 0, 0, 0
    for seed in range(first // EACH * SEEDS, (first // EACH + 1) * SEEDS):
        if pairs == EACH:
            break
        rng = random.Random(seed)
        before = world.config(rng)
        after = world.changed(rng, before) if rng.random() < 0.9 else world.config(rng)
        old, new = world.engine(before, "old.yaml"), world.engine(after, "new.yaml")
        if old is None or new is None:
            continue
        pairs += 1
        changes = document.compare(old.document, new.document)
        assert bool(changes) == (old.document != new.document), f"seed {seed}"
        said = any(one.kind is Kind.WIDENS for one in changes)
        widening += said
        narrower += bool(changes) and not said
        if not said:
            found = widened(old, new, [world.question(rng, (old, new)) for _ in range(60)])
            assert not found, f"seed {seed}: {[one.text for one in changes]}, and yet: {found[0]}"
    assert pairs == EACH
    # the test is worth something only where both come up
    assert widening > pairs / 5
    assert narrower > pairs / 20
