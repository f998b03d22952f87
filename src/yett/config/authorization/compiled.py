"""The rules of a group and a route become one policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yett.config import template
from yett.config.authorization import condition
from yett.config.authorization.attributes import Times
from yett.config.authorization.roles import RoleTable
from yett.config.authorization.tenant import Tenant, templates
from yett.config.base import Location, listed, nearest
from yett.config.filters.authorize import Rule, Scopes, stated
from yett.config.types import Quantified

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy
    from yett.config.route import Group, Route

Parts = list[tuple["Group | Route", Location, str]]
_OF_CALLERS = {
    "deny": "a public route knows no callers to deny; remove it, or write `authenticate` and `authorize`",
    "hidden": "a public route refuses nobody, so it cannot be hidden; remove `hidden`",
    "tenant": "a public route knows no callers, so nobody has a tenant; remove `tenant`",
    "response_tenant": "a public route knows no callers, so nobody has a tenant; remove `response_tenant`",
}
"""Keys that mean nothing where nobody is known, and what is said then."""


class Authorization:
    """Compiles the rules of one route; faults go to the merger."""

    def __init__(self, merger: Merger, policy: Policy, at: Location, parts: Parts) -> None:
        self.merger, self.policy, self.at, self.parts = merger, policy, at, parts
        self.table: RoleTable = merger.roles
        self._said_places: list[str] = []

    def run(self) -> None:
        """Fills in the policy."""
        policy = self.policy
        self._classification()
        for part, where, source in self.parts:
            policy.hidden = policy.hidden or part.hidden
            for rule, at, named in stated(part.authorize, where, source):
                if not rule.is_empty():
                    among = policy.rules if rule.enforced else policy.shadow.setdefault("rules", [])
                    among.append(self.rule(rule, at, named))
            for name, denial in part.deny.items():
                among = policy.deny if denial.enforced else policy.shadow.setdefault("deny", [])
                among.append(self.rule(denial, (*where, "deny", name), f"{source}: deny.{name}"))
        self._tenants()
        if policy.access == "public":
            self._nobody()

    def _nobody(self) -> None:
        """A public route knows no callers."""
        for part, where, _ in self.parts:
            for key, message in _OF_CALLERS.items():
                if key in part.model_fields_set:
                    self.merger.fault((*where, key), "key_unused", message, True)

    # rules

    def rule(self, rule: Rule, where: Location, source: str) -> dict[str, Any]:
        """A rule in the intermediate representation; nothing that is not asked for."""
        found: dict[str, Any] = {"source": source}
        if rule.callers:
            callers = {
                key: list(getattr(rule.callers, key)) for key in ("users", "clients", "keys", "spiffe")
            }
            found["callers"] = {key: names for key, names in callers.items() if names}
        if rule.scopes is not None:
            found["scopes"] = self._scopes(rule.scopes, where)
        if rule.roles:
            found["roles"] = self._roles(rule.roles, where)
        if rule.permissions:
            found["permissions"] = self._permissions(rule.permissions, where)
        claims = [
            {"name": name, "test": test.compiled(kind)}
            for name, test in rule.claims.items()
            if (kind := self._claim_type(name, (*where, "claims", name), test.needs))
        ]
        if rule.clearance:
            claims += self._clearance(rule.clearance, (*where, "clearance"))
        if claims:
            found["claims"] = claims
        if rule.addresses:
            found["addresses"] = list(rule.addresses)
        if rule.times:
            found["times"] = self._times(rule.times, where)
        if rule.device:
            found["device"] = self._device(rule, where)
        if rule.when is not None:
            found |= self._condition(rule, where)
        return found

    def _scopes(self, scopes: Scopes, where: Location) -> dict[str, Any]:
        if scopes.every is not None:
            return quantified(scopes.every)
        taken = [method for method in self.policy.methods if method != "HEAD"]
        missing = [method for method in taken if method not in scopes.methods]
        if missing and not {"deny", "classes"} & set(where):
            self.merger.fault(
                (*where, "scopes"),
                "scope_method_missing",
                f"`{self.policy.name}` takes {listed(missing)}, for which no scope is named; add it, or take it out of `methods`",
                True,
            )
        return {"methods": {method: quantified(value) for method, value in scopes.methods.items()}}

    def _roles(self, roles: Quantified, where: Location) -> dict[str, Any]:
        table = self.table.roles
        for index, name in enumerate(roles.items):
            if table and name not in table:
                hint = nearest(name, table) or f"; the table has {listed(sorted(table))}"
                self.fault_once(
                    (*where, "roles", roles.quantifier, index),
                    "role_unknown",
                    f"`roles:` has no role `{name}`{hint}",
                )
        return {roles.quantifier: [self.table.holders(name) for name in roles.items]}

    def _permissions(self, permissions: Quantified, where: Location) -> dict[str, Any]:
        sets = []
        for index, name in enumerate(permissions.items):
            roles = self.table.granting(name)
            if not roles:
                known = self.table.permissions
                hint = nearest(name, known) or (
                    f"; there are {listed(sorted(known))}"
                    if known
                    else "; write the table of roles: `roles: {clerk: {permissions: …}}`"
                )
                self.fault_once(
                    (*where, "permissions", permissions.quantifier, index),
                    "permission_unknown",
                    f"no role brings `{name}`, so nobody could pass{hint}",
                )
            sets.append(roles or ["-"])
        return {permissions.quantifier: sets}

    # claims

    def _claim_type(self, name: str, where: Location, needs: set[str]) -> str | None:
        """The type of a declared claim, equal at all accepted providers; nothing where that is a fault."""
        types: dict[str, str] = {}
        for provider in self.policy.callers_of:
            claims = self.merger.claim_types(provider)
            if name not in claims:
                hint = nearest(name, claims)
                self.fault_once(
                    where,
                    "claim_undeclared",
                    f"`{provider}` declares no claim `{name}`, so its callers could never pass{hint or '; add it to its `claims`'}",
                    True,
                )
                return None
            types[provider] = claims[name]
        kinds = sorted(set(types.values()))
        if len(kinds) > 1:
            shown = ", ".join(f"`{kind}` at `{provider}`" for provider, kind in types.items())
            self.fault_once(where, "claim_type", f"`{name}` is {shown}; declare it with one type", True)
            return None
        if kinds and kinds[0] not in needs:
            self.fault_once(
                where,
                "claim_type",
                f"`{name}` is declared as `{kinds[0]}`, and this asks for {listed(sorted(needs))}",
            )
            return None
        return kinds[0] if kinds else None

    def _clearance(self, name: str, where: Location) -> list[dict[str, Any]]:
        order = list(self.merger.gateway.classifications)
        if self.policy.classification is None:
            self.fault_once(
                where,
                "classification_missing",
                f"`{self.policy.name}` has no `classification` that `{name}` could be compared with; add it to the route or group",
                True,
            )
            return []
        if self._claim_type(name, where, {"string"}) is None:
            return []
        enough = order[order.index(self.policy.classification) :]
        return [{"name": name, "test": {"any_of": enough}}]

    def _times(self, times: tuple[Times, ...], where: Location) -> list[dict[str, Any]]:
        for index, window in enumerate(times):
            if not condition.known_zone(window.zone):
                self.fault_once(
                    (*where, "times", index, "zone"),
                    "time_invalid",
                    f"there is no time zone `{window.zone}`; write an IANA name such as `Europe/Berlin`",
                )
        return [window.compiled() for window in times]

    def _condition(self, rule: Rule, where: Location) -> dict[str, Any]:
        text, headers = rule.when or "", sorted(rule.headers)
        found = template.read(self.policy.path)
        variables = [] if isinstance(found, str) else list(found.variables)
        claims = {name: self.merger.claim_types(name) for name in self.policy.callers_of}
        geo = self.merger.gateway.geo
        known = geo.readable if geo else []
        fault = condition.check(text, claims, headers, variables, self._body(), known)
        if fault is not None:
            place = (*where, "when") if self._stands((*where, "when")) else where
            error = condition.error(self.merger, place, text, fault)
            if error not in self.merger.errors:
                self.merger.errors.append(error)
        return {"when": text, **({"headers": headers} if headers else {})}

    def _body(self) -> Any:
        """The schema of the body, where there is one that rules may read."""
        found = self.policy.request_validation
        return self.merger.schemas.get(found[0]) if found else None

    def _stands(self, location: Location) -> bool:
        """Whether the file has this key: a condition may stand in place of a rule."""
        source = self.merger.places.source(location)
        here: Any = source.value if source else {}
        for step in location:
            if isinstance(here, list):
                here = dict(enumerate(here))
            if not isinstance(here, dict) or step not in here:
                return False
            here = here[step]
        return True

    def _device(self, rule: Rule, where: Location) -> dict[str, Any]:
        device = rule.device
        if device is None:
            return {}
        if device.posture:
            self._claim_type("device_posture", (*where, "device", "posture"), {"string"})
        if device.age:
            self._claim_type("device_checked", (*where, "device", "age"), {"int"})
        return device.compiled()

    def _classification(self) -> None:
        order = self.merger.gateway.classifications
        for part, where, _ in self.parts:
            name = part.classification
            if name is None:
                continue
            if name not in order:
                hint = nearest(name, order) or (
                    f"; there are {listed(order)}"
                    if order
                    else "; write `classifications: [public, internal, confidential]`, the lowest first"
                )
                self.fault_once(
                    (*where, "classification"),
                    "classification_unknown",
                    f"there is no classification `{name}`{hint}",
                )
                continue
            above = self.policy.classification
            if above is not None and order.index(name) < order.index(above):
                self.merger.fault(
                    (*where, "classification"),
                    "classification_lowered",
                    f"`{name}` is below the group's, `{above}`; a route never lowers it",
                )
            self.policy.classification = name

    # tenants

    def _tenants(self) -> None:
        policy = self.policy
        reason: str | None = None
        for part, where, source in self.parts:
            if part.tenant is None and not part.authorize:
                continue
            said: list[tuple[Tenant, Location]] = [(part.tenant, (*where, "tenant"))] if part.tenant else []
            inside = stated(part.authorize, where, source)
            said += [(rule.tenant, (*at, "tenant")) for rule, at, _ in inside if rule.tenant]
            if len(said) > 1:
                also = "beside `authorize`" if part.tenant else "in another rule"
                message = f"`tenant` also stands {also}; keep that one"
                self.merger.fault(said[1][1], "twice", message, True)
            if not said:
                continue
            tenant, place = said[0]
            if tenant.none is not None:
                reason = tenant.none
                if policy.tenants:
                    self.merger.fault(
                        place,
                        "tenant_loosened",
                        f"the group names a tenant, {listed(self._said_places)}; a route of it cannot do without",
                        True,
                    )
                continue
            compiled = self._place(tenant, place, part is self.parts[-1][0])
            if compiled is not None and compiled not in [item["from"] for item in policy.tenants]:
                policy.tenants.append({"source": source, "from": compiled})
            self._said_places.append(tenant.shown)
            self._mapped(place, tenant)
        policy.tenant_reason = reason if not policy.tenants else None
        for part, where, _ in self.parts:
            if part.response_tenant is not None:
                policy.response_tenant = part.response_tenant.header.lower()
                if not policy.tenants and not policy.tenant_reason:
                    self.merger.fault(
                        (*where, "response_tenant"),
                        "key_unused",
                        "the route names no tenant that an answer could be compared with; add `tenant`",
                        True,
                    )

    def _place(self, tenant: Tenant, place: Location, own: bool) -> dict[str, Any] | None:
        if tenant.host is not None or tenant.place == "host":
            found = templates(tenant, self.policy.hosts)
            if isinstance(found, str):
                self.merger.fault(place if own else self.at, "tenant_invalid", found, not own)
                return None
            return {"host": found}
        kind, _, name = (tenant.place or "").partition(".")
        if kind == "path":
            self._variable(name, own)
        if kind == "body" and not condition.is_text(self._body(), name):
            missing = (
                "the route has no `request_validation` with a schema"
                if self._body() is None
                else "its schema has no text there"
            )
            self.merger.fault(
                place if own else self.at,
                "tenant_body",
                f"`{tenant.place}`: a body counts only once it has been validated, and {missing}; add it, or name the tenant elsewhere",
                not own,
            )
        return {kind: name}

    def _variable(self, name: str, own: bool) -> None:
        found = template.read(self.policy.path)
        if isinstance(found, str):
            return
        merger, at = self.merger, self.at
        if name not in found.variables:
            group = "" if own else f" (the group `{self.policy.group}` compares it with the caller's tenant)"
            merger.fault(
                (*at, "match", "path"),
                "tenant_variable_missing",
                f"the path has no `{{{name}}}`{group}; add it, or compare another one",
            )
        elif name == found.rest:
            merger.fault(
                (*at, "match", "path"),
                "tenant_variable_rest",
                f"`{{{name}...}}` takes several segments, and a tenant is one; write `{{{name}}}`",
            )
        elif self.policy.path_allow:
            merger.fault(
                (*at, "path"),
                "path_exception_with_rule",
                f"{listed(self.policy.path_allow)} would let two readers see different values of `{{{name}}}`, which a rule reads; remove `path`",
                True,
            )

    def _mapped(self, place: Location, tenant: Tenant) -> None:
        for name in self.policy.callers_of:
            provider = self.merger.gateway.identity_providers.get(name)
            if provider is not None and provider.type != "api_key" and not self.merger.names_tenant(name):
                self.fault_once(
                    place,
                    "tenant_claim_missing",
                    f"`{tenant.shown}` is compared with the caller's tenant, and tokens of `{name}` name none; write `claims: {{tenant: …}}` there",
                )

    def fault_once(self, location: Location, code: str, message: str, key: bool = False) -> None:
        """A fault of a group shows for each of its routes, and is said once."""
        error = self.merger.places.error(location, code, message, key)
        if error not in self.merger.errors:
            self.merger.errors.append(error)


def quantified(value: Quantified) -> dict[str, list[str]]:
    """`{"any_of": […]}`"""
    return {value.quantifier: list(value.items)}
