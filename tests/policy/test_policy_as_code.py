"""docs/concepts/policy-as-code.md and the README show what the tools say."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.certificates import make
from yett.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/concepts/policy-as-code.md").read_text()
CONFIG = """\
version: 1
listeners:
  main: {address: "127.0.0.1:0", tls: {profile: modern, certificates: [{chain: edge.pem, key: {file: edge.key}}]}}
tests: tests/*.tests.yaml
identity_providers:
  customers: {type: jwt, issuer: "ISSUER", audience: shop, jwks: JWKS, plaintext: test, claims: {tenant: tenant}}
services: {orders: {endpoints: "https://orders.internal"}}
routes:
  list-orders:
    match: {hosts: api.example.com, path: "/tenants/{tenant}/orders", methods: GET}
    authenticate: customers
    tenant: path.tenant
    authorize: {scopes: orders.read}
    service: orders
"""


def yett(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def pair(tmp_path: Path, issuer: Any) -> tuple[Path, Path]:
    """The configuration before the change of the page, and after it, each with the page's tests."""
    identity = issuer()
    text = CONFIG.replace("ISSUER", identity.issuer).replace("JWKS", Path(identity.jwks_file(tmp_path)).name)
    edit = re.search(r"\*\*2\. The edit\.\*\* `authorize: (\{.*?\})` on", PAGE)
    assert edit
    made = make("api.example.com", names=["api.example.com"])
    found = []
    for name, config in (("before", text), ("after", text.replace("{scopes: orders.read}", edit[1]))):
        directory = tmp_path / name
        (directory / "tests").mkdir(parents=True)
        identity.jwks_file(directory)
        (directory / "edge.pem").write_text(made.pem)
        (directory / "edge.key").write_text(made.key_pem)
        (directory / "edge.key").chmod(0o600)
        (directory / "gateway.yaml").write_text(config)
        (directory / "tests/orders.tests.yaml").write_text(blocks("yaml")[0])
        found.append(directory / "gateway.yaml")
    return found[0], found[1]


def test_the_walk(pair: tuple[Path, Path]) -> None:
    before, after = pair
    tested = yett("test", before)
    assert tested.exit_code == 1
    assert "worker" in tested.output
    assert "orders.read" in tested.output
    assert yett("test", after).exit_code == 0
    done = yett("diff", before, after)
    assert done.exit_code == 1, done.output
    said = blocks("text")[0]
    assert said in done.stdout
    in_readme = re.search(r"\$ yett diff .*\n((?: {2}.*\n)+?) {2}```", (ROOT / "README.md").read_text())
    assert in_readme and textwrap.dedent(in_readme[1]) == said
    allowed = re.search(r"`--allow-widening (\S+)`", PAGE)
    assert allowed
    assert yett("diff", before, after, "--allow-widening", allowed[1]).exit_code == 0


def test_the_pipeline(pair: tuple[Path, Path]) -> None:
    """Its commands and options are there."""
    for line in blocks("text")[1].splitlines():
        words = line.replace("origin/main:gateway.yaml", str(pair[0])).replace(" gateway.yaml", f" {pair[1]}")
        words = words.replace("report.xml", str(pair[1].parent / "report.xml"))
        done = yett(*words.split()[1:])
        assert done.exit_code in {0, 1}, done.output
