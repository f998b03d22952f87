"""Requests that their callers signed (HTTP Message Signatures, RFC 9421), body included (RFC 9530)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from yett.config import units
from yett.config.base import Location, Model, refuse
from yett.config.machine import Machine, some
from yett.config.providers.api_key import Moment, seconds
from yett.config.types import Items, PublicFile, Secret, Text
from yett.config.units import AnyDuration, Duration, Size

DERIVED = ("@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query")
"""Derived components that may be required (RFC 9421 section 2.2)."""
STRICT = ("@method", "@target-uri", "content-digest")
_FIELD = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_LABEL = re.compile(r"[a-z*][a-z0-9_.*-]{0,63}", re.ASCII)
_MAX_BODY = 16 << 20


def _components(value: Any) -> Any:
    several = isinstance(value, list | tuple)
    for index, item in enumerate(value if several else [value]):
        at: Location = (index,) if several else ()
        if not isinstance(item, str):
            continue
        if item.startswith("@") and item not in DERIVED:
            raise refuse(
                "component_unknown",
                f"`{item}` cannot be required; write one or more of {', '.join(DERIVED)}",
                at,
            )
        if not item.startswith("@") and not _FIELD.fullmatch(item):
            raise refuse(
                "component_unknown", f"`{item}` is no field name in lower case, such as `content-digest`", at
            )
    return value


def _label(value: Any) -> Any:
    if isinstance(value, str) and not _LABEL.fullmatch(value):
        raise refuse("label_invalid", f"`{value}` is no label; write one such as `sig1`")
    return value


def _held(value: str) -> str:
    if units.size_bytes(value) > _MAX_BODY:
        raise refuse(
            "out_of_range", f"`{value}` would be held in memory for each request; write at most `16MiB`"
        )
    return value


class SigningKey(Machine):
    """A key that a caller signs with, and who that is."""

    algorithm: Literal["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "hmac-sha256"]
    """The one algorithm that this key is for; what a signature says of it only has to agree."""
    public_key: PublicFile | None = None
    """The public key, in PEM."""
    shared_secret: Secret | None = None
    """For `hmac-sha256`: a secret of at least 32 bytes, which whoever checks could sign with as well."""
    expires: Moment | None = None
    """When it ends, such as `2027-01-01T00:00:00Z`."""

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "algorithm" not in value:
            return value
        shared = value.get("algorithm") == "hmac-sha256"
        needed, other = ("shared_secret", "public_key") if shared else ("public_key", "shared_secret")
        if value.get(other) is not None:
            raise refuse(
                "signing_key_kind",
                f"`{value['algorithm']}` takes a `{needed}`, and no `{other}`; keep the one",
            )
        if value.get(needed) is None:
            raise refuse("signing_key_missing", f"`{value['algorithm']}` needs a `{needed}`")
        return value


class SignedRequest(Model):
    """Requests that their callers signed (HTTP Message Signatures, RFC 9421), body included (RFC 9530)."""

    type: Literal["signed_request"]
    keys: Annotated[dict[Text, SigningKey], BeforeValidator(some)]
    """Key ids, as signatures name them in `keyid`, and whose they are."""
    components: Annotated[Items, BeforeValidator(_components)] = STRICT
    """What a signature has to cover; `content-digest` where there is a body. `@target-uri` may come in its parts."""
    max_age: Duration = "5m"
    """Age, by `created`, at which a signature is refused."""
    leeway: AnyDuration = "30s"
    """How far `created` may lie ahead."""
    nonce: Literal["required", "optional"] = "required"
    """Whether a signature has to carry one; each counts once."""
    tag: Text | None = None
    """The `tag` of signatures that are for this gateway; others are passed over."""
    label: Annotated[str, BeforeValidator(_label)] | None = None
    """The label of the signature that is for this gateway; others are passed over."""
    body: Annotated[Size, AfterValidator(_held)] = "1MiB"
    """Largest body of a signed request: it is held until its digest is checked."""

    @property
    def credential(self) -> str:
        """The field that carries it."""
        return "signature"

    def weakened(self, name: str) -> list[str]:
        """What is weaker than it could be, in sentences."""
        said = []
        missing = [one for one in STRICT if not self._covers(one)]
        if missing:
            said.append(f"signatures of `{name}` need not cover {', '.join(f'`{one}`' for one in missing)}")
        if self.nonce == "optional":
            said.append(f"a signed request of `{name}` without a nonce can be sent again for {self.max_age}")
        return said

    def _covers(self, component: str) -> bool:
        parts = {"@authority", "@path", "@query"}
        return component in self.components or (component == "@target-uri" and parts <= set(self.components))

    def compiled(self, name: str, keys: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """What the data plane reads; `keys` has the key or the name of the secret of each key id."""
        return {
            "type": "signed_request",
            "name": name,
            "components": list(self.components),
            "max_age_s": units.milliseconds(self.max_age) // 1000,
            "leeway_s": units.milliseconds(self.leeway) // 1000,
            "nonce_required": self.nonce == "required",
            **({"tag": self.tag} if self.tag else {}),
            **({"label": self.label} if self.label else {}),
            "body_limit": units.size_bytes(self.body),
            "keys": [
                {
                    "id": key_id,
                    "algorithm": key.algorithm,
                    **keys[key_id],
                    **({"expires": seconds(key.expires)} if key.expires else {}),
                    "machine": key.granted(),
                }
                for key_id, key in sorted(self.keys.items())
            ],
        }
