"""Private keys that do not belong to the certificates beside them: found when a configuration is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yett.config.base import Location
from yett.config.resolve import secret_name
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config import Compiled

_OURS = {"listener", "service_client", "provider_client"}


def pair_errors(compiled: Compiled) -> list[ConfigError]:
    """A fault for each key that cannot serve with its chain. What an authority or an agent gave is looked at where it came in."""
    errors: list[ConfigError] = []
    for one in compiled.certificates:
        at: Location = (*one.at[:-1], "key")
        pem = compiled.secrets.get(secret_name(at))
        if one.use not in _OURS or one.position or pem is None or {"acme", "spiffe"} & set(one.at):
            continue
        fault = _fault(pem, one.public_key)
        if fault:
            errors.append(compiled.places.error((*at, "file"), "key_unfit", fault))
    return errors


def _fault(pem: bytes, certified: bytes) -> str | None:
    """Why a key and the public key of a certificate (DER) are no pair, without anything of the key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        return (
            "the private key is encrypted, and nobody is there to type a pass phrase; write it without one "
            "(`openssl pkey -in old.key -out new.key`), readable for the gateway only"
        )
    except (ValueError, UnsupportedAlgorithm):
        return "the private key cannot be read; PEM is needed, as `openssl genpkey` writes it"
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certified and public != certified:
        return "the private key does not belong to the first certificate of the chain; name the key that it was made with"
    return None
