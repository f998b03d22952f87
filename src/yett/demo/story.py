"""What the demo shows: the same list is printed as curl lines and run by `yett demo --check`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

Credential = Literal["none", "token", "tampered", "key", "forged"]


@dataclass(frozen=True)
class Step:
    """One request, or one sent several times, and what has to come of the last."""

    shows: str
    expect: int
    method: str
    path: str
    credential: Credential = "none"
    client: str = "mobile"
    reason: str | None = None
    """The stable code of the refusal."""
    json: str | None = None
    """A small JSON body."""
    file: str | None = None
    """Or a file of the state that has it, since a password is no argument of a program."""
    zeros: int = 0
    """Or so many zero bytes as the body."""
    times: int = 1
    inside: str | None = None
    """The service that has this path, asked around the gateway as well: it wants what the gateway signs."""
    without: str | None = None
    """What the service answers, and the gateway does not."""
    shown: str | None = None
    """Whose certificate a request around the gateway shows."""


STEPS = (
    Step("a token with the scope orders.read", 200, "GET", "/tenants/acme/orders", "token"),
    Step("a partner's API key", 200, "GET", "/tenants/acme/orders", "key"),
    Step("the mobile app reads its profile", 200, "GET", "/tenants/acme/profile", "token"),
    Step("an accountant reads invoices", 200, "GET", "/tenants/acme/invoices", "token", "accountant"),
    Step(
        "a new order", 201, "POST", "/tenants/acme/orders", "token", json='{"item": "magnet", "quantity": 2}'
    ),
    Step("a right password", 200, "POST", "/login", file="login.json"),
    Step(
        "a wrong password", 401, "POST", "/login", json='{"email": "ann@example.com", "password": "a guess"}'
    ),
    Step("no credential", 401, "GET", "/tenants/acme/orders", reason="credential_missing"),
    Step(
        "a token with a role written into it after it was signed",
        401,
        "GET",
        "/tenants/acme/invoices",
        "tampered",
        reason="token_signature_invalid",
    ),
    Step(
        "scope: the mobile app may not write its profile",
        403,
        "PUT",
        "/tenants/acme/profile",
        "token",
        reason="scope_missing",
        json='{"name": "Mallory"}',
    ),
    Step(
        "role: the mobile app has the scope for invoices, but is no accountant",
        403,
        "GET",
        "/tenants/acme/invoices",
        "token",
        reason="role_missing",
    ),
    Step(
        "tenant: globex's accountant asks for acme's invoices",
        403,
        "GET",
        "/tenants/acme/invoices",
        "token",
        "globex",
        reason="tenant_mismatch",
    ),
    Step(
        "billing.write: a bookkeeper changes an invoice",
        200,
        "PATCH",
        "/tenants/acme/invoices/9001",
        "token",
        "bookkeeper",
        json='{"amount": 90}',
    ),
    Step(
        "billing.read only: GET yes, but not PATCH",
        403,
        "PATCH",
        "/tenants/acme/invoices/9001",
        "token",
        "accountant",
        reason="scope_missing",
        json='{"amount": 1}',
    ),
    Step(
        "billing.read only: nor DELETE",
        403,
        "DELETE",
        "/tenants/acme/invoices/9001",
        "token",
        "accountant",
        reason="scope_missing",
    ),
    Step("an employee looks at orders", 200, "GET", "/tenants/acme/staff/orders", "token", "bookkeeper"),
    Step(
        "employee: an accountant who is none",
        403,
        "GET",
        "/tenants/acme/staff/orders",
        "token",
        "accountant",
        reason="role_missing",
    ),
    Step(
        "an employee, of another tenant",
        403,
        "GET",
        "/tenants/globex/staff/orders",
        "token",
        "bookkeeper",
        reason="tenant_mismatch",
    ),
    Step("subscription: gold", 200, "GET", "/tenants/acme/staff/forecast", "token", "bookkeeper"),
    Step(
        "subscription: basic is not enough",
        403,
        "GET",
        "/tenants/acme/staff/forecast",
        "token",
        "admin",
        reason="attribute_mismatch",
    ),
    Step("device: in order", 200, "GET", "/tenants/acme/staff/till", "token", "bookkeeper"),
    Step(
        "device: rooted",
        403,
        "GET",
        "/tenants/acme/staff/till",
        "token",
        "admin",
        reason="device_not_allowed",
    ),
    Step("classification: cleared for it", 200, "GET", "/tenants/acme/staff/salaries", "token", "bookkeeper"),
    Step(
        "classification: not cleared for confidential data",
        403,
        "GET",
        "/tenants/acme/staff/salaries",
        "token",
        "admin",
        reason="attribute_mismatch",
    ),
    Step(
        "administrators, who are employees as well",
        200,
        "GET",
        "/tenants/acme/staff/administration",
        "token",
        "admin",
    ),
    Step(
        "administration, for an employee",
        403,
        "GET",
        "/tenants/acme/staff/administration",
        "token",
        "bookkeeper",
        reason="permission_missing",
    ),
    Step(
        "hidden: an administrator in the EU", 200, "GET", "/tenants/acme/eu/administration", "token", "admin"
    ),
    Step(
        "hidden: an administrator elsewhere sees a path that nobody serves",
        404,
        "GET",
        "/tenants/acme/eu/administration",
        "token",
        "admin-us",
        reason="route_not_found",
    ),
    Step("a path that nobody serves", 404, "GET", "/nothing/here", reason="route_not_found"),
    Step(
        "customers' /admin, which is for the inside",
        404,
        "GET",
        "/admin",
        "token",
        reason="route_not_found",
        inside="customers",
    ),
    Step(
        "orders' forgotten /debug", 404, "GET", "/debug", "token", reason="route_not_found", inside="orders"
    ),
    Step(
        "a method that the route does not take",
        405,
        "DELETE",
        "/tenants/acme/orders",
        "token",
        reason="method_not_allowed",
    ),
    Step(
        "20 kB where an order may have 16 KiB",
        413,
        "POST",
        "/tenants/acme/orders",
        "token",
        reason="body_too_large",
        zeros=20_000,
    ),
    Step(
        "an order for minus two magnets, with a number that the client chose",
        422,
        "POST",
        "/tenants/acme/orders",
        "token",
        reason="schema_mismatch",
        json='{"item": "magnet", "quantity": -2, "id": "1001"}',
    ),
    Step(
        "an order with two quantities, of which the service might read either",
        400,
        "POST",
        "/tenants/acme/orders",
        "token",
        reason="json_duplicate_name",
        json='{"item": "magnet", "quantity": 2, "quantity": 2000}',
    ),
    Step(
        "an order without the margin that the service answers with it",
        200,
        "GET",
        "/tenants/acme/orders/1001",
        "token",
        without="margin",
    ),
    Step(
        "a stack trace in the service's answer",
        502,
        "GET",
        "/tenants/acme/orders/first",
        "token",
        reason="response_leak",
        without="Traceback",
    ),
    Step(
        "six searches at once, where three and then one a second are allowed",
        429,
        "GET",
        "/tenants/acme/search?q=rope",
        "token",
        reason="rate_limited",
        times=6,
    ),
    Step(
        "a partner beyond its 60 requests of this month",
        429,
        "GET",
        "/tenants/acme/orders?of=today",
        "key",
        reason="quota_exceeded",
        times=61,
    ),
)


AROUND = (
    Step("orders, around the gateway, without a certificate", 0, "GET", "/debug", inside="orders"),
    Step(
        "billing, around the gateway, without a certificate",
        0,
        "GET",
        "/tenants/acme/invoices",
        inside="billing",
    ),
    Step("customers, around the gateway, without a certificate", 0, "GET", "/admin", inside="customers"),
    Step("customers, asked by orders", 0, "GET", "/admin", inside="customers", shown="orders"),
    Step(
        "billing, with the gateway's certificate, and nothing that says who calls",
        401,
        "GET",
        "/tenants/acme/invoices",
        inside="billing",
        shown="gateway",
        reason="assertion_missing",
    ),
    Step(
        "billing, with the gateway's certificate, and an assertion that somebody else signed",
        401,
        "GET",
        "/tenants/acme/invoices",
        "forged",
        inside="billing",
        shown="gateway",
        reason="assertion_key_unknown",
    ),
)
"""Sent by `yett demo --check` to services themselves, which answer nobody but the gateway. 0 is no answer at all."""


def curl(step: Step, url: str, authority: str, state: str, yett: str) -> str:
    """The line to type: `authority` and `state` are paths, `yett` is the program."""
    words = ["curl", "-sS", "-i", "--cacert", shlex.quote(authority)]
    if step.method != "GET":
        words += ["-X", step.method]
    if step.credential in {"token", "tampered"}:
        flag = " --tampered" if step.credential == "tampered" else ""
        words.append(
            f'-H "Authorization: Bearer $({shlex.quote(yett)} demo token --client {step.client}{flag})"'
        )
    elif step.credential == "key":
        words.append(f'-H "X-API-Key: $(cat {shlex.quote(state + "/partner.key")})"')
    if step.json is not None:
        words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(step.json)]
    if step.file is not None:
        words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(f"@{state}/{step.file}")]
    if step.zeros:
        words += ["--data-binary", "@-"]
    # curl sends a range of URLs over one connection, one after the other
    target = url + step.path + (f"&page=[1-{step.times}]" if step.times > 1 else "")
    words.append(shlex.quote(target))
    line = " ".join(words)
    return f"head -c {step.zeros} /dev/zero | {line}" if step.zeros else line
