"""Two readers of one token: what joserfc refuses, the gateway never accepts. Generated tokens, whole and spoiled."""

from __future__ import annotations

import base64
import json
import random
import string
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from tests.support import configs
from tests.support.issuer import Issuer, b64, make_key

KINDS = ("EC", "RSA", "OKP", "P-384", "P-521")
ALGORITHMS = {
    "EC": ["ES256"], "P-384": ["ES384"], "P-521": ["ES512"], "OKP": ["EdDSA"],
    "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
}  # fmt: skip
ALL = sorted(name for names in ALGORITHMS.values() for name in names)
TOKENS = 1500


def key_for(token: str, keys: KeySet) -> Any:
    """Without a `kid` the only key that fits the algorithm (RFC 7515 appendix D); joserfc would ask for one."""
    header = json.loads(segments(token)[0])
    if "kid" in header:
        return keys
    fitting = [key for key in keys.keys if header.get("alg") in ALGORITHMS[str(key.kid).rsplit("-", 1)[0]]]
    return fitting[0] if len(fitting) == 1 else keys


def joserfc_accepts(token: str, keys: KeySet, issuer: str, audience: str) -> bool:
    """The same policy in joserfc's words."""
    try:
        # RFC 7515 section 4: a header that is not understood is ignored, unless `crit` names it.
        registry = JWSRegistry(algorithms=ALL, strict_check_header=False)
        decoded = jwt.decode(token, key_for(token, keys), registry=registry)
        rules = jwt.JWTClaimsRegistry(
            now=int(time.time()),
            leeway=30,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        rules.validate(decoded.claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


def segments(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


class Spoiler:
    """One way each to spoil a token; some leave it as good as it was."""

    def __init__(self, identity: Issuer, chance: random.Random) -> None:
        self.identity, self.chance = identity, chance

    def claims(self) -> dict[str, Any]:
        now, pick = int(time.time()), self.chance.choice
        claims: dict[str, Any] = self.identity.claims(
            sub=pick(["alice", "bob", "ünïcode", "a" * 200]),
            aud=pick(["shop", ["shop"], ["other", "shop"]]),
            exp=now + self.chance.randint(60, 10_000),
            nbf=pick([None, now - 5, 0]),
            scope=pick([None, "read", "read write"]),
        )
        return claims

    def signed(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        key = self.chance.choice(self.identity.keys)
        kind = str(key.kid).rsplit("-", 1)[0]
        return self.identity.sign(claims, header, key, self.chance.choice(ALGORITHMS[kind]))

    def whole(self) -> str:
        return self.signed(self.claims())

    def one_character(self) -> str:
        token = list(self.whole())
        at = self.chance.randrange(len(token))
        token[at] = self.chance.choice(string.ascii_letters + string.digits + "-_.")
        return "".join(token)

    def one_bit(self) -> str:
        parts = [bytearray(part) for part in segments(self.whole())]
        part = self.chance.choice(parts)
        part[self.chance.randrange(len(part))] ^= 1 << self.chance.randrange(8)
        return ".".join(b64(bytes(part)) for part in parts)

    def cut_or_longer(self) -> str:
        token = self.whole()
        return self.chance.choice(
            [token[:-1], token[:-4], token + "A", token + ".", token + "=", "." + token]
        )

    def parts_exchanged(self) -> str:
        one, other = self.whole().split("."), self.whole().split(".")
        return ".".join(self.chance.choice(pair) for pair in zip(one, other, strict=True))

    def claim_of_another_kind(self) -> str:
        now = int(time.time())
        name, value = self.chance.choice(
            [
                ("exp", str(now + 900)), ("exp", now + 900.5), ("exp", -1), ("exp", None), ("exp", now - 100), ("exp", 1e300),
                ("exp", [now + 900]), ("exp", True), ("nbf", now + 900), ("nbf", str(now)), ("nbf", "soon"), ("iat", now + 900), ("iat", "now"),
                ("iss", "https://evil.example"), ("iss", None), ("iss", [self.identity.issuer]), ("iss", self.identity.issuer + "/"),
                ("aud", "other"), ("aud", []), ("aud", None), ("aud", {"shop": 1}), ("aud", "shop "), ("aud", ["SHOP"]), ("aud", 7),
            ]
        )  # fmt: skip
        claims = self.claims()
        claims[name] = value
        if value is None:
            del claims[name]
        return self.signed(claims)

    def header_of_another_kind(self) -> str:
        header: dict[str, Any] = self.chance.choice(
            [
                {"kid": "EC-99"}, {"kid": None}, {"kid": ""}, {"kid": 7}, {"typ": "JWS"}, {"typ": None}, {"typ": "at+jwt"},
                {"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"zip": "DEF"}, {"cty": "JWT"}, {"x": 1},
                {"jwk": make_key("EC", 7).as_dict(private=False)}, {"jku": "https://evil.example/jwks"},
            ]
        )  # fmt: skip
        return self.signed(self.claims(), header)

    def header_says_another_algorithm(self) -> str:
        parts = segments(self.whole())
        header = json.loads(parts[0])
        header["alg"] = self.chance.choice([*ALL, "none", "None", "HS256", "ES256K", "Ed448", "", 1, None])
        return ".".join([b64(json.dumps(header).encode()), b64(parts[1]), b64(parts[2])])

    def key_of_another(self) -> str:
        return self.identity.sign(self.claims(), {"kid": "EC-0"}, make_key("EC", 99))

    def odd_json(self) -> str:
        claims = json.dumps(self.claims())
        text = self.chance.choice(
            [
                claims[:-1] + ', "exp": 99999999999}', '{"exp": 1, ' + claims[1:], claims + " ", claims + "x", "[" + claims + "]",
                claims.replace('"exp"', '"\\u0065xp"'), claims.replace("{", "{\n", 1), "\ufeff" + claims, claims[:-1] + ', "n": NaN}',
            ]
        )  # fmt: skip
        return self.identity.sign(text.encode())

    WAYS: tuple[Callable[[Spoiler], str], ...] = (
        whole, one_character, one_bit, cut_or_longer, parts_exchanged, claim_of_another_kind,
        header_of_another_kind, header_says_another_algorithm, key_of_another, odd_json,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("seed", [1, 2])
def test_never_a_disagreement_towards_acceptance(gateway, origin, issuer, tmp_path, seed):
    identity, service = issuer(*KINDS), origin()
    config = configs.protected(service, identity, tmp_path)
    public = tmp_path / "any-algorithm.json"
    public.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in identity.keys]}))
    config["identity_providers"]["id"]["jwks"] = str(public)
    gate = gateway(config)
    keys = KeySet(identity.keys)
    spoiler = Spoiler(identity, random.Random(seed))
    counts: Counter[tuple[str, bool, bool]] = Counter()
    wire = gate.connect()
    for number in range(TOKENS // 2):
        way = spoiler.WAYS[number % len(spoiler.WAYS)]
        token = way(spoiler)
        answer = wire.ask(target="/closed", headers={"Authorization": f"Bearer {token}"})
        ours = answer.status == 200
        theirs = joserfc_accepts(token, keys, identity.issuer, identity.audience)
        assert ours <= theirs, (way.__name__, token, "the gateway accepts what joserfc refuses")
        assert answer.status in (200, 401), answer.status
        counts[(way.__name__, ours, theirs)] += 1
        if way is Spoiler.whole:
            assert ours and theirs, (token, answer.reason)
    wire.close()
    accepted = sum(count for (_, ours, _), count in counts.items() if ours)
    refused = sum(count for (_, ours, _), count in counts.items() if not ours)
    assert accepted >= TOKENS // 20 and refused >= TOKENS // 4, counts
