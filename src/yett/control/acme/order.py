"""One order at an authority, from the account to the certificate. Blocking: it runs on a thread of its own.

The protocol is the `acme` package's (certbot's library); nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, cast

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy import jwa, jwk
from requests.adapters import HTTPAdapter

from yett import __version__
from yett.config.acme import Ordered, read_pair
from yett.control.acme.store import Account, Store

REQUEST_S = 30
"""Longest pause of the authority inside one answer."""
ORDER_S = 120
"""From the challenges to the certificate."""
MAX_ANSWER = 1 << 20
"""Bytes of one answer of the authority."""

Solve = Callable[[dict[str, str]], AbstractContextManager[None]]


class Failed(Exception):
    """An order failed; the message says why, in the authority's words where it had some."""


def place(one: Ordered, store: Store, solve: Solve) -> None:
    """Orders a certificate and stores it. Under the store's lock.

    `solve` has the challenges answered while its context lasts.

    Raises:
        Failed: with whatever went wrong; nothing that was stored has changed but the account.
    """
    try:
        key, chain = _ordered(one, store, solve)
        _check(one, key, chain)
        store.save_certificate(one, key, chain)
    except Failed:
        raise
    except errors.ValidationError as error:
        raise Failed(_refusals(error)) from error
    except messages.Error as error:
        if error.code == "accountDoesNotExist":
            store.forget_account(one.acme.directory)
        raise Failed(f"the authority says `{error.code}`: {_short(error.detail)}") from error
    except errors.TimeoutError as error:
        raise Failed(f"the authority did not decide within {ORDER_S} seconds") from error
    except requests.exceptions.SSLError as error:
        raise Failed(f"the directory does not prove who it is: {_short(error)}") from error
    except requests.exceptions.RequestException as error:
        raise Failed(f"the authority cannot be reached: {_short(error)}") from error
    except OSError as error:
        raise Failed(f"`{error.filename}` {error.strerror or 'cannot be used'}") from error
    except Exception as error:
        raise Failed(
            f"the authority's answer makes no sense: {type(error).__name__}: {_short(error)}"
        ) from error


def _ordered(one: Ordered, store: Store, solve: Solve) -> tuple[bytes, str]:
    network = _network(one, store)
    server = client.ClientV2(client.ClientV2.get_directory(one.acme.directory, network), network)
    _account(one, store, server)
    key = ec.generate_private_key(ec.SECP256R1())
    order = server.new_order(_request(one, key))
    asked = [
        _challenge(found) for found in order.authorizations if found.body.status != messages.STATUS_VALID
    ]
    answers = {}
    for challenge in asked:
        answers[challenge.chall.encode("token")] = challenge.validation(network.key)
    end = datetime.now() + timedelta(seconds=ORDER_S)  # noqa: DTZ005
    with solve(answers):
        for challenge in asked:
            server.answer_challenge(challenge, challenge.response(network.key))
        done = server.poll_and_finalize(order, end)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, str(done.fullchain_pem)


def _network(one: Ordered, store: Store) -> client.ClientNetwork:
    saved = store.account(one.acme.directory)
    if saved:
        key = jwk.JWK.from_json(saved.key)
        account = messages.RegistrationResource(uri=saved.uri, body=messages.Registration())
    else:
        key, account = jwk.JWKEC(key=ec.generate_private_key(ec.SECP256R1())), None
    trusted: str | bool = True
    if one.ca:
        trusted = str(store.save_ca(one, one.ca))
    network = client.ClientNetwork(
        key, account=account, alg=jwa.ES256, verify_ssl=cast("bool", trusted), timeout=REQUEST_S,
        user_agent=f"yett/{__version__}",
    )  # fmt: skip
    # an authority that names an address of its own in plain HTTP is not followed there
    network.session.adapters.clear()
    network.session.mount("https://", _Bounded())
    return network


class _Bounded(HTTPAdapter):
    """Reads no more than `MAX_ANSWER` of an answer."""

    def send(self, *args: Any, **options: Any) -> requests.Response:
        options["stream"] = True
        response = super().send(*args, **options)
        body = response.raw.read(MAX_ANSWER + 1, decode_content=True)
        response.close()
        if len(body) > MAX_ANSWER:
            raise requests.exceptions.ContentDecodingError(f"an answer has more than {MAX_ANSWER} bytes")
        response._content = body
        response._content_consumed = True
        return response


def _account(one: Ordered, store: Store, server: client.ClientV2) -> None:
    if server.net.account is not None:
        return
    wanted = messages.NewRegistration(contact=one.acme.contact, terms_of_service_agreed=True)
    made = server.new_account(wanted)
    key = cast("jwk.JWK", server.net.key)
    # before it is used: an account that is lost is one more at the authority with every start
    store.save_account(one.acme.directory, Account(_jwk(key), str(made.uri)))


def _jwk(key: jwk.JWK) -> dict[str, str]:
    return {name: str(value) for name, value in key.to_json().items()}


def _request(one: Ordered, key: ec.EllipticCurvePrivateKey) -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in one.acme.domains])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(names, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _challenge(found: messages.AuthorizationResource) -> Any:
    for one in found.body.challenges:
        if isinstance(one.chall, challenges.HTTP01):
            return one
    name = found.body.identifier.value
    raise Failed(f"the authority does not offer to prove `{name}` over HTTP (http-01)")


def _check(one: Ordered, key: bytes, chain: str) -> None:
    """What comes is checked before it takes the place of what works."""
    made, fault = read_pair(key + b"\n" + chain.encode())
    if made is None:
        raise Failed(f"what the authority sent {fault}")
    missing = [name for name in one.acme.domains if name not in made.names]
    if missing:
        raise Failed(f"the authority's certificate lacks `{missing[0]}`")


def _refusals(error: errors.ValidationError) -> str:
    said = [
        f"{found.body.identifier.value}: {challenge.error.detail}"
        for found in error.failed_authzrs
        for challenge in found.body.challenges
        if challenge.error is not None
    ]
    return f"the authority did not accept the proof: {_short('; '.join(said))}"


def _short(text: object) -> str:
    return str(text).replace("\n", " ")[:500]
