"""Programs that pretend to be browsers or crawlers, by head and hello: refused, or reported. Known crawlers are verified by reverse DNS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from yett.config.base import Model, listed, refuse
from yett.config.crawlers import CRAWLERS, similar
from yett.config.types import ONE_OR_SEVERAL, Name, Networks, any_of, quantified, socket_address

if TYPE_CHECKING:
    from yett.config.merge import Policy

Answer = Literal["allow", "refuse"]
_Several = Annotated[tuple[str, ...], WithJsonSchema(ONE_OR_SEVERAL)]
MOST = 20
"""Names and domains of one crawler."""
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})+", re.ASCII)


_BROWSERS = (
    "mozilla/5.0 (windows nt 10.0; win64; x64; rv:133.0) applewebkit/537.36 (khtml, like gecko) chrome/131.0.0.0 safari/537.36 edg/131.0.0.0 opr/115.0.0.0",
    "mozilla/5.0 (macintosh; intel mac os x 10_15_7) applewebkit/605.1.15 (khtml, like gecko) version/18.1 safari/605.1.15",
    "mozilla/5.0 (iphone; cpu iphone os 18_1 like mac os x) applewebkit/605.1.15 (khtml, like gecko) crios/131.0 fxios/133.0 version/18.1 mobile/15e148 safari/604.1",
    "mozilla/5.0 (ipad; cpu os 17_5 like mac os x) applewebkit/605.1.15",
    "mozilla/5.0 (linux; android 10; k; wv) applewebkit/537.36 (khtml, like gecko) samsungbrowser/27.0 chrome/131.0.0.0 mobile safari/537.36",
    "mozilla/5.0 (x11; ubuntu; linux x86_64; rv:133.0) gecko/20100101 firefox/133.0 chromium/131.0 tablet",
    "mozilla/5.0 (windows nt 6.1; wow64; trident/7.0; rv:11.0) like gecko msie 10.0 edge/18.0 opera/9.80 presto/2.12",
)
"""What browsers send, in lower case, with all words that stand there."""


def _domain(one: str) -> None:
    if not _DOMAIN.fullmatch(one) or len(one) > 253:
        raise refuse(
            "domain_invalid",
            f"`{one}` is no domain; write one such as `bot.example.com`: lower case, two parts or more, no dot in front",
        )


def _few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > MOST:
        raise refuse("too_many", f"there are more than {MOST}; name fewer")
    return value


def _agent(one: str) -> None:
    if not one.isascii() or not one.isprintable() or len(one.strip()) < 3 or len(one) > 100:
        raise refuse(
            "agent_invalid",
            f"`{one}` names no crawler; write what stands in its User-Agent, of 3 to 100 plain characters",
        )
    if any(one.lower() in browser for browser in _BROWSERS):
        raise refuse(
            "agent_invalid",
            f"`{one}` also stands in the User-Agent of browsers; write what only the crawler says",
        )
    for known in (agent for crawler in CRAWLERS.values() for agent in crawler.agents):
        if one.lower() in known.lower() or known.lower() in one.lower():
            raise refuse(
                "agent_invalid",
                f"`{one}` and `{known}`, which is known, are found in one another; write what tells them apart",
            )


def _resolver(one: str) -> None:
    found = socket_address(one)
    if found is None or not found[1]:
        raise refuse(
            "address_invalid",
            f"`{one}` is no resolver; write an IP address and a port, such as `192.0.2.53:53`",
        )


def _three(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 3:
        raise refuse("too_many", "three resolvers are asked, and no more; name fewer")
    return value


def _known(item: str) -> None:
    if item not in CRAWLERS:
        hint = similar(item) or f"; write {listed([*CRAWLERS])}, or describe it in `own`"
        raise refuse("crawler_unknown", f"`{item}` is no crawler that is known{hint}")


def _allowed(value: Any) -> Any:
    if value in ("any", "none"):
        return tuple(CRAWLERS) if value == "any" else ()
    return quantified(value, ("any_of",), _known)[1]


class OwnCrawler(Model):
    """A crawler that is not known here: what it says, and what proves it."""

    agent: Annotated[_Several, any_of(_agent), AfterValidator(_few)]
    """What stands in its `User-Agent`, in any case: one, or `{any_of: […]}`."""
    domains: Annotated[_Several, any_of(_domain), AfterValidator(_few)] = ()
    """Domains that the names of its addresses are in: one, or `{any_of: […]}`."""
    addresses: Networks = ()
    """Its addresses, where its operator publishes them; then nobody is asked."""

    @model_validator(mode="after")
    def _proved(self) -> OwnCrawler:
        if not self.domains and not self.addresses:
            raise refuse(
                "crawler_unproved", "nothing proves that somebody is it; write `domains` or `addresses`"
            )
        return self


class Crawlers(Model):
    """Which crawlers come in, once it is proved that they are these."""

    allow: Annotated[
        tuple[str, ...], BeforeValidator(_allowed), WithJsonSchema(ONE_OR_SEVERAL)
    ] = tuple(CRAWLERS)  # fmt: skip
    """Those known by name: one, `{any_of: […]}`, `any` or `none`; all others of these are refused."""
    own: dict[Name, OwnCrawler] = Field(default_factory=dict, max_length=50)
    """Further ones, by a name for each."""
    undecided: Literal["refuse", "pass"] = "refuse"
    """What becomes of one while DNS does not say whether it is it: 503, or it passes."""
    resolvers: Annotated[_Several, any_of(_resolver), AfterValidator(_three)] = ()
    """Who is asked: up to three addresses with ports; those of the system if nothing is said."""

    @model_validator(mode="after")
    def _names(self) -> Crawlers:
        for name in self.own:
            if name in CRAWLERS:
                raise refuse(
                    "crawler_known",
                    f"`{name}` is a crawler that is known; give yours another name",
                    ("own", name),
                )
        return self

    def compiled(self) -> list[dict[str, Any]]:
        """One's own first: what they are called counts before what is known."""
        own = [
            {
                "name": name, "agents": list(one.agent), "allowed": True,
                **({"domains": list(one.domains)} if one.domains else {}),
                **({"addresses": sorted(one.addresses)} if one.addresses else {}),
            }
            for name, one in sorted(self.own.items())
        ]  # fmt: skip
        known = [
            {
                "name": name,
                "agents": list(one.agents),
                "domains": list(one.domains),
                "allowed": name in self.allow,
            }
            for name, one in CRAWLERS.items()
        ]
        return [*own, *known]


class BotFilter(Model):
    """What becomes of programs, of programs that pretend to be browsers, and of crawlers."""

    mode: Literal["enforce", "report"] = "enforce"
    """`enforce`: 403; `report`: it passes, and log and metrics say so."""
    threshold: Annotated[int, Field(ge=4, le=20)] = 6
    """From which score on what says that it is a browser is taken for an impostor."""
    impostors: Answer = "refuse"
    """Programs that say that they are browsers."""
    programs: Answer = "allow"
    """Programs that say what they are, or nothing: API clients, scripts, headless browsers."""
    scanners: Answer = "refuse"
    """Programs that look for holes, and say so."""
    crawlers: Crawlers = Crawlers.unsaid()
    """Crawlers of search engines and the like, which have to be who they say."""
    exceptions: Networks = ()
    """Networks that are not looked at, such as your own monitoring, or a company's proxy that opens TLS."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            "enforce": self.mode == "enforce", "threshold": self.threshold,
            "impostors": self.impostors, "programs": self.programs, "scanners": self.scanners,
            "crawlers": self.crawlers.compiled(),
            **({"undecided_passes": True} if self.crawlers.undecided == "pass" else {}),
            **({"resolvers": list(self.crawlers.resolvers)} if self.crawlers.resolvers else {}),
            **({"except": sorted(self.exceptions)} if self.exceptions else {}),
        }  # fmt: skip


def weakened(policies: list[Policy]) -> list[str]:
    """Routes where more passes than is known to be in order, in sentences."""
    found = []
    for what, weak in (
        ("programs that pretend are reported, and pass (`bot_filter: {mode: report}`)", lambda one: not one["enforce"]),
        ("programs that pretend to be browsers pass (`bot_filter: {impostors: allow}`)", lambda one: one["impostors"] == "allow"),
        ("programs that look for holes pass (`bot_filter: {scanners: allow}`)", lambda one: one["scanners"] == "allow"),
        ("whoever calls himself a crawler passes while DNS does not say whether he is one, and can keep the DNS of his own address silent (`bot_filter: {crawlers: {undecided: pass}}`)", lambda one: one.get("undecided_passes")),
    ):  # fmt: skip
        names = [policy.name for policy in policies if policy.bot_filter and weak(policy.bot_filter)]
        if names:
            found.append(f"{what} on {'route' if len(names) == 1 else 'routes'} {listed(names)}")
    return found


def text(one: dict[str, Any]) -> str:
    """In one line: what becomes of whom."""
    refused = [kind for kind in ("impostors", "programs", "scanners") if one[kind] == "refuse"]
    crawlers = [crawler["name"] for crawler in one["crawlers"] if crawler["allowed"]]
    said = f"{'refuses' if one['enforce'] else 'reports'} {', '.join(refused) or 'nobody'} from score {one['threshold']}"
    spared = f"; not from {', '.join(one['except'])}" if one.get("except") else ""
    undecided = "; while DNS says nothing they pass" if one.get("undecided_passes") else ""
    asked = f"; asked: {', '.join(one['resolvers'])}" if one.get("resolvers") else ""
    return f"{said}; crawlers: {', '.join(crawlers) or 'none'}{undecided}{asked}{spared}"
