"""Yett: a secure API gateway for microservices.

A configuration in Python is built from these models; `yett run gateway.py` runs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yett.config.acme import Acme
    from yett.config.address_list import AddressList
    from yett.config.authorization.attributes import Device, Times
    from yett.config.authorization.roles import Role
    from yett.config.authorization.tenant import ResponseTenant, Tenant
    from yett.config.decision_log import DecisionLog
    from yett.config.dpop import Dpop, DpopNonce
    from yett.config.endpoint import ConsistentHash, Dns, Endpoint, HashKey
    from yett.config.filters.address_filter import AddressFilter
    from yett.config.filters.address_limit import AddressLimit
    from yett.config.filters.assurance import Assurance
    from yett.config.filters.attack_filter import AttackException, AttackFilter
    from yett.config.filters.authorize import Authorize, Callers, Deny
    from yett.config.filters.bot_filter import BotFilter, Crawlers, OwnCrawler
    from yett.config.filters.concurrency_limit import ConcurrencyLimit
    from yett.config.filters.cors import Cors
    from yett.config.filters.csrf import Csrf
    from yett.config.filters.external_authorization import ExternalAuthorization
    from yett.config.filters.geo_filter import GeoFilter
    from yett.config.filters.identity_assertion import IdentityAssertion
    from yett.config.filters.login_guard import (
        FailedField,
        LoginFailed,
        LoginGuard,
        LoginPart,
        LoginThresholds,
    )
    from yett.config.filters.mirror import Mirror
    from yett.config.filters.quota import Quota, QuotaClass
    from yett.config.filters.rate_limit import LimitClass, LimitSchedule, LimitWindow, RateLimit
    from yett.config.filters.redirect import Redirect
    from yett.config.filters.request_headers import RequestHeaders
    from yett.config.filters.request_validation import FormLimits, JsonLimits, RequestValidation
    from yett.config.filters.respond import Respond
    from yett.config.filters.response_headers import ResponseHeaders
    from yett.config.filters.response_validation import ResponseValidation
    from yett.config.filters.rewrite import Rewrite
    from yett.config.filters.security_headers import Cookies, Hsts, SecurityHeaders
    from yett.config.filters.websocket import WebSocket
    from yett.config.gateway import Admin, Ceiling, Defaults, Gateway, LoadShedding, LogFile, Process
    from yett.config.geo import Geo
    from yett.config.health import HealthCheck, OutlierDetection
    from yett.config.identity import Identity, PublishedKeys
    from yett.config.introspection_endpoint import IntrospectionEndpoint
    from yett.config.listener import (
        Certificate,
        Http2,
        HttpsRedirect,
        Listener,
        ListenerTls,
        PassedHost,
        Passthrough,
        ProxyProtocol,
        TrustedProxies,
    )
    from yett.config.live_check import LiveCheck
    from yett.config.login_challenge import LoginChallenge
    from yett.config.machine import Machine
    from yett.config.match import Match
    from yett.config.oauth_client import OauthClient
    from yett.config.providers.api_key import ApiKey
    from yett.config.providers.client_assertion import AssertionClient, ClientAssertion
    from yett.config.providers.introspection import Introspection, IntrospectionCache
    from yett.config.providers.jwt import Claim, Discovery, JwksUrl, Jwt
    from yett.config.providers.mtls import Mtls
    from yett.config.providers.oidc import Oidc, OidcEndpoints, Session
    from yett.config.providers.signed_request import SignedRequest, SigningKey
    from yett.config.rates.repeats import Idempotency
    from yett.config.resilience import CircuitBreaker, Retry, ServiceLimits
    from yett.config.route import Group, PathRules, Route, RouteLimits, RouteTimeouts
    from yett.config.security_events import SecurityEvents
    from yett.config.service import Pool, Service, ServiceTls
    from yett.config.service_http2 import ServiceHttp2
    from yett.config.service_token import ServiceToken
    from yett.config.spiffe import SpiffeBundle, SpiffeIdentity
    from yett.config.state import Redis, State
    from yett.config.types import Secret
    from yett.config.validation.graphql import GraphQL
    from yett.errors import ConfigError, ConfigurationError, YettError

__version__ = "0.1.0"

__all__ = [
    "Acme",
    "AddressFilter",
    "AddressLimit",
    "AddressList",
    "Admin",
    "ApiKey",
    "AssertionClient",
    "Assurance",
    "AttackException",
    "AttackFilter",
    "Authorize",
    "BotFilter",
    "Callers",
    "Ceiling",
    "Certificate",
    "CircuitBreaker",
    "Claim",
    "ClientAssertion",
    "ConcurrencyLimit",
    "ConfigError",
    "ConfigurationError",
    "ConsistentHash",
    "Cookies",
    "Cors",
    "Crawlers",
    "Csrf",
    "DecisionLog",
    "Defaults",
    "Deny",
    "Device",
    "Discovery",
    "Dns",
    "Dpop",
    "DpopNonce",
    "Endpoint",
    "ExternalAuthorization",
    "FailedField",
    "FormLimits",
    "Gateway",
    "Geo",
    "GeoFilter",
    "GraphQL",
    "Group",
    "HashKey",
    "HealthCheck",
    "Hsts",
    "Http2",
    "HttpsRedirect",
    "Idempotency",
    "Identity",
    "IdentityAssertion",
    "Introspection",
    "IntrospectionCache",
    "IntrospectionEndpoint",
    "JsonLimits",
    "JwksUrl",
    "Jwt",
    "LimitClass",
    "LimitSchedule",
    "LimitWindow",
    "Listener",
    "ListenerTls",
    "LiveCheck",
    "LoadShedding",
    "LogFile",
    "LoginChallenge",
    "LoginFailed",
    "LoginGuard",
    "LoginPart",
    "LoginThresholds",
    "Machine",
    "Match",
    "Mirror",
    "Mtls",
    "OauthClient",
    "Oidc",
    "OidcEndpoints",
    "OutlierDetection",
    "OwnCrawler",
    "PassedHost",
    "Passthrough",
    "PathRules",
    "Pool",
    "Process",
    "ProxyProtocol",
    "PublishedKeys",
    "Quota",
    "QuotaClass",
    "RateLimit",
    "Redirect",
    "Redis",
    "RequestHeaders",
    "RequestValidation",
    "Respond",
    "ResponseHeaders",
    "ResponseTenant",
    "ResponseValidation",
    "Retry",
    "Rewrite",
    "Role",
    "Route",
    "RouteLimits",
    "RouteTimeouts",
    "Secret",
    "SecurityEvents",
    "SecurityHeaders",
    "Service",
    "ServiceHttp2",
    "ServiceLimits",
    "ServiceTls",
    "ServiceToken",
    "Session",
    "SignedRequest",
    "SigningKey",
    "SpiffeBundle",
    "SpiffeIdentity",
    "State",
    "Tenant",
    "Times",
    "TrustedProxies",
    "WebSocket",
    "YettError",
    "__version__",
]

_WHERE = {
    "Acme": "yett.config.acme",
    "Redis": "yett.config.state",
    "State": "yett.config.state",
    "SecurityEvents": "yett.config.security_events",
    "ConsistentHash": "yett.config.endpoint",
    "Dns": "yett.config.endpoint",
    "Dpop": "yett.config.dpop",
    "DpopNonce": "yett.config.dpop",
    "Endpoint": "yett.config.endpoint",
    "HashKey": "yett.config.endpoint",
    "AddressLimit": "yett.config.filters.address_limit",
    "Assurance": "yett.config.filters.assurance",
    "Authorize": "yett.config.filters.authorize",
    "Callers": "yett.config.filters.authorize",
    "Deny": "yett.config.filters.authorize",
    "Device": "yett.config.authorization.attributes",
    "ResponseTenant": "yett.config.authorization.tenant",
    "Role": "yett.config.authorization.roles",
    "Tenant": "yett.config.authorization.tenant",
    "Times": "yett.config.authorization.attributes",
    "IdentityAssertion": "yett.config.filters.identity_assertion",
    "ExternalAuthorization": "yett.config.filters.external_authorization",
    "GeoFilter": "yett.config.filters.geo_filter",
    "Mirror": "yett.config.filters.mirror",
    "FailedField": "yett.config.filters.login_guard",
    "LoginChallenge": "yett.config.login_challenge",
    "LoginFailed": "yett.config.filters.login_guard",
    "LoginGuard": "yett.config.filters.login_guard",
    "LoginPart": "yett.config.filters.login_guard",
    "LoginThresholds": "yett.config.filters.login_guard",
    "ConcurrencyLimit": "yett.config.filters.concurrency_limit",
    "LimitClass": "yett.config.filters.rate_limit",
    "LimitSchedule": "yett.config.filters.rate_limit",
    "LimitWindow": "yett.config.filters.rate_limit",
    "Quota": "yett.config.filters.quota",
    "QuotaClass": "yett.config.filters.quota",
    "RateLimit": "yett.config.filters.rate_limit",
    "Redirect": "yett.config.filters.redirect",
    "RequestHeaders": "yett.config.filters.request_headers",
    "FormLimits": "yett.config.filters.request_validation",
    "GraphQL": "yett.config.validation.graphql",
    "JsonLimits": "yett.config.filters.request_validation",
    "RequestValidation": "yett.config.filters.request_validation",
    "Respond": "yett.config.filters.respond",
    "ResponseHeaders": "yett.config.filters.response_headers",
    "ResponseValidation": "yett.config.filters.response_validation",
    "Rewrite": "yett.config.filters.rewrite",
    "Cookies": "yett.config.filters.security_headers",
    "Hsts": "yett.config.filters.security_headers",
    "SecurityHeaders": "yett.config.filters.security_headers",
    "WebSocket": "yett.config.filters.websocket",
    "AddressFilter": "yett.config.filters.address_filter",
    "AddressList": "yett.config.address_list",
    "Cors": "yett.config.filters.cors",
    "AttackException": "yett.config.filters.attack_filter",
    "AttackFilter": "yett.config.filters.attack_filter",
    "BotFilter": "yett.config.filters.bot_filter",
    "Crawlers": "yett.config.filters.bot_filter",
    "OwnCrawler": "yett.config.filters.bot_filter",
    "Csrf": "yett.config.filters.csrf",
    "Admin": "yett.config.gateway",
    "Ceiling": "yett.config.gateway",
    "DecisionLog": "yett.config.decision_log",
    "Defaults": "yett.config.gateway",
    "Gateway": "yett.config.gateway",
    "Geo": "yett.config.geo",
    "LogFile": "yett.config.gateway",
    "LoadShedding": "yett.config.gateway",
    "Process": "yett.config.gateway",
    "HealthCheck": "yett.config.health",
    "OutlierDetection": "yett.config.health",
    "Idempotency": "yett.config.rates.repeats",
    "Identity": "yett.config.identity",
    "PublishedKeys": "yett.config.identity",
    "Certificate": "yett.config.listener",
    "Http2": "yett.config.listener",
    "HttpsRedirect": "yett.config.listener",
    "Listener": "yett.config.listener",
    "ListenerTls": "yett.config.listener",
    "ProxyProtocol": "yett.config.listener",
    "TrustedProxies": "yett.config.listener",
    "Match": "yett.config.match",
    "OauthClient": "yett.config.oauth_client",
    "ApiKey": "yett.config.providers.api_key",
    "AssertionClient": "yett.config.providers.client_assertion",
    "Introspection": "yett.config.providers.introspection",
    "IntrospectionCache": "yett.config.providers.introspection",
    "IntrospectionEndpoint": "yett.config.introspection_endpoint",
    "LiveCheck": "yett.config.live_check",
    "Claim": "yett.config.providers.jwt",
    "ClientAssertion": "yett.config.providers.client_assertion",
    "Discovery": "yett.config.providers.jwt",
    "Jwt": "yett.config.providers.jwt",
    "Oidc": "yett.config.providers.oidc",
    "OidcEndpoints": "yett.config.providers.oidc",
    "Session": "yett.config.providers.oidc",
    "JwksUrl": "yett.config.providers.jwt",
    "CircuitBreaker": "yett.config.resilience",
    "Retry": "yett.config.resilience",
    "ServiceLimits": "yett.config.resilience",
    "Group": "yett.config.route",
    "PassedHost": "yett.config.listener",
    "Passthrough": "yett.config.listener",
    "PathRules": "yett.config.route",
    "Route": "yett.config.route",
    "RouteLimits": "yett.config.route",
    "RouteTimeouts": "yett.config.route",
    "Pool": "yett.config.service",
    "Service": "yett.config.service",
    "ServiceHttp2": "yett.config.service_http2",
    "ServiceTls": "yett.config.service",
    "ServiceToken": "yett.config.service_token",
    "Secret": "yett.config.types",
    "ConfigError": "yett.errors",
    "ConfigurationError": "yett.errors",
    "Machine": "yett.config.machine",
    "Mtls": "yett.config.providers.mtls",
    "SignedRequest": "yett.config.providers.signed_request",
    "SigningKey": "yett.config.providers.signed_request",
    "SpiffeBundle": "yett.config.spiffe",
    "SpiffeIdentity": "yett.config.spiffe",
    "YettError": "yett.errors",
}


def __getattr__(name: str) -> Any:
    """Models are imported when they are asked for, so that `yett --help` is quick."""
    if name not in _WHERE:
        raise AttributeError(f"module `yett` has no `{name}`")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
