"""The files that configurations in the documentation name."""

from __future__ import annotations

import json
from pathlib import Path

import trustme
from joserfc.jwk import ECKey

from tests.support import assertions
from tests.support.api_keys import KeyFile
from tests.support.geo import database

OPENAPI = """\
openapi: 3.1.0
info: {title: Shop, version: "1"}
paths:
  /orders:
    post:
      operationId: createOrder
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
      responses: {"201": {description: The order.}}
components:
  schemas:
    Order: {type: object, required: [item], properties: {item: {type: string, maxLength: 80}}}
"""


def fill(directory: Path) -> Path:
    """Writes them all into a directory."""
    key = ECKey.generate_key("P-256", {"kid": "one", "alg": "ES256", "use": "sig"})
    (directory / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    (directory / "redis.password").write_text("a password of some length")
    for name, end in (("partners", "2027-06-30"), ("years", "2036-06-30"), ("old", None)):
        expires = {"expires": f"{end}T00:00:00Z"} if end else {}
        KeyFile(directory, f"{name}.keys.yaml").add("acme", scopes=["feed.read"], **expires)
    for name, day in (("last-year", 1_764_201_600), ("this-week", 1_795_651_200)):
        database(directory / f"of-{name}.mmdb", "country", {"192.0.2.0/24": ("DE", "EU")}, built_s=day)
    (directory / "session.key").write_text("00" * 32)
    assertions.make_keys(directory)
    (directory / "client.secret").write_text("only for this test, 0123456789ab")
    (directory / "openapi").mkdir()
    (directory / "openapi" / "shop.yaml").write_text(OPENAPI)
    certificates = directory / "certs"
    certificates.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(certificates / "internal-ca.pem"))
    issued = authority.issue_cert("localhost", "api.example.com", "*.example.com")
    (certificates / "edge.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (certificates / "edge.key").write_bytes(issued.private_key_pem.bytes())
    for secret in (directory / "client.secret", directory / "session.key", certificates / "edge.key"):
        secret.chmod(0o600)
    return directory
