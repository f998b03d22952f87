"""Certificates of clients that the listener verified: a name in them is the caller."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from yett.config.base import Model, refuse
from yett.config.machine import Machine, some
from yett.config.types import Items, Text

FIELDS = ("client", "tenant", "partner")
"""What a pattern may take out of a name."""
MAX_PARTS = 16
_PART = re.compile(r"\*|\{[^{}*]*\}|[{}]")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)


def _trust_domains(value: Any) -> Any:
    for item in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
        if isinstance(item, str) and not _TRUST_DOMAIN.fullmatch(item):
            raise refuse(
                "trust_domain_invalid", f"`{item}` is no trust domain; write one such as `example.org`"
            )
    return value


def _pattern(value: Any) -> Any:
    fault = pattern_fault(value) if isinstance(value, str) else None
    if fault:
        raise refuse("pattern_invalid", fault)
    return value


def pattern_fault(text: str) -> str | None:
    """What is wrong with a pattern of names, or nothing."""
    parts = _PART.findall(text)
    names = [part[1:-1] for part in parts if len(part) > 1]
    if any(part in {"{", "}"} for part in parts):
        return f"`{text}` has a lone brace; write `{{client}}`, `{{tenant}}` or `{{partner}}`"
    for name in names:
        if name not in FIELDS:
            return f"`{{{name}}}` is nothing that a name can give; write `{{client}}`, `{{tenant}}`, `{{partner}}` or `*`"
    if len(set(names)) < len(names):
        return f"`{text}` has a field twice; write `*` for one of them"
    if re.search(r"(\*|\})(\*|\{)", text):
        return f"`{text}`: where one part ends and the next begins is unknown; put something between them"
    if len(parts) > MAX_PARTS:
        return f"`{text}` has more than {MAX_PARTS} variable parts"
    return None


class Mtls(Model):
    """Certificates of clients that the listener verified: a name in them is the caller."""

    type: Literal["mtls"]
    subject: Literal["common_name", "distinguished_name", "dns", "email", "uri", "spiffe"]
    """Which name of the certificate is the caller."""
    trust_domains: Annotated[Items, BeforeValidator(_trust_domains)] = ()
    """SPIFFE trust domains whose certificates are accepted; for `subject: spiffe`."""
    identities: Annotated[dict[Annotated[Text, BeforeValidator(_pattern)], Machine], BeforeValidator(some)]
    """Names, or patterns of them, and who each is. A certificate with another name is refused."""
    assurance: Text | None = None
    """How sure this proof is, as `acr` of tokens says it."""

    @property
    def credential(self) -> str:
        """What carries it."""
        return "client certificate"

    def faults(self) -> list[tuple[tuple[str | int, ...], str, str]]:
        """What does not fit together: where, code and message."""
        found: list[tuple[tuple[str | int, ...], str, str]] = []
        if self.subject == "spiffe" and not self.trust_domains:
            message = "say which `trust_domains` are yours: the authority may sign for others too"
            found.append((("subject",), "trust_domain_missing", message))
        if self.subject != "spiffe" and self.trust_domains:
            message = "only `subject: spiffe` has trust domains; remove this"
            found.append((("trust_domains",), "key_unused", message))
        for name in self.identities:
            if self.subject == "spiffe":
                parts = urlsplit(name)
                if (
                    parts.scheme != "spiffe"
                    or parts.query
                    or parts.fragment
                    or parts.netloc.lower() != parts.netloc
                ):
                    message = f"`{name}` is no SPIFFE id; write one such as `spiffe://example.org/billing`"
                    found.append((("identities", name), "spiffe_id_invalid", message))
                elif self.trust_domains and parts.netloc not in self.trust_domains:
                    message = f"`{parts.netloc}` is not among `trust_domains`; add it, or remove this"
                    found.append((("identities", name), "trust_domain_unknown", message))
            if self.subject == "dns" and name != name.lower():
                message = f"names of hosts are compared in lower case; write `{name.lower()}`"
                found.append((("identities", name), "pattern_invalid", message))
        return found

    def compiled(self, name: str) -> dict[str, Any]:
        """What the data plane reads."""
        return {
            "type": "mtls",
            "name": name,
            "subject": self.subject,
            **({"trust_domains": list(self.trust_domains)} if self.trust_domains else {}),
            "identities": [
                {"name": label, "machine": machine.granted()}
                for label, machine in sorted(self.identities.items())
            ],
            **({"assurance": self.assurance} if self.assurance is not None else {}),
        }
