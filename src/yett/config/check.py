"""What does not fit together, beyond the merge of single routes."""

from __future__ import annotations

from yett.config import oidc_check
from yett.config.authorization.check import check_authorization
from yett.config.base import Location
from yett.config.check_acme import check_acme
from yett.config.check_introspection import check_introspection
from yett.config.check_machines import check_machines
from yett.config.decision_log import check_decision_log
from yett.config.dpop import check_dpop
from yett.config.geo_check import check_geo
from yett.config.group_check import check_address_filters, check_edits, check_groups
from yett.config.jwt_check import check_jwt
from yett.config.listener_check import check_passthrough, check_redirects
from yett.config.login_challenge import check_challenges
from yett.config.merge import Merger, Policy
from yett.config.provider_check import check_api_key, check_together
from yett.config.providers.api_key import ApiKey
from yett.config.providers.jwt import Jwt
from yett.config.providers.oidc import Oidc
from yett.config.rates import quotas
from yett.config.route_check import (
    check_ambiguous,
    check_client_certificates,
    check_priorities,
    check_sensitive,
)
from yett.config.security_events import check_events
from yett.config.service_check import check_services
from yett.config.service_token import check_service_tokens
from yett.config.socket_check import check_admin, check_listeners
from yett.config.spiffe import check_spiffe
from yett.config.state import check_state


def check_all(merger: Merger, policies: list[Policy]) -> None:
    """Everything that is not the merge of one route."""
    gateway = merger.gateway
    check_listeners(merger)
    check_acme(merger)
    check_spiffe(merger, policies)
    check_state(merger)
    quotas.check_state(merger)
    check_decision_log(merger)
    check_admin(merger)
    for name, provider in gateway.identity_providers.items():
        at: Location = ("identity_providers", name)
        if isinstance(provider, Jwt):
            check_jwt(merger, at, provider)
        elif isinstance(provider, Oidc):
            oidc_check.check(merger, at, provider)
        elif isinstance(provider, ApiKey):
            check_api_key(merger, at, provider)
    # the route of the gateway's own key set is nobody's to write
    written = [policy for policy in policies if policy.name in gateway.routes]
    check_introspection(merger, written)
    check_service_tokens(merger, written)
    check_together(merger)
    check_services(merger)
    check_groups(merger)
    check_address_filters(merger)
    check_geo(merger)
    for name, route in gateway.routes.items():
        check_edits(merger, ("routes", name), route)
    check_client_certificates(merger, written)
    check_machines(merger, written)
    check_dpop(merger, written)
    check_events(merger, written)
    oidc_check.check_routes(merger, written)
    check_challenges(merger, written)
    check_priorities(merger)
    check_redirects(merger, policies)
    check_passthrough(merger, policies)
    check_authorization(merger, written)
    check_sensitive(merger, written)
    check_ambiguous(merger, policies)
