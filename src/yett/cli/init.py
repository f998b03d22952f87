"""`yett init`: a first configuration, and its schema for editors."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli.output import fail

TEMPLATE = """\
# yaml-language-server: $schema=./yett.schema.json
# Everything that is not said here has a safe default; `yett check gateway.yaml` says what is wrong and where.
version: 1

# Probes and metrics: /healthz, /readyz, /metrics.
admin: {address: 127.0.0.1:9901}

# The sockets that clients reach. Plain HTTP always carries its reason; with certificates write instead
#   tls: {certificates: [{chain: certs/edge.pem, key: {file: certs/edge.key}}]}
listeners:
  local: {address: 127.0.0.1:8080, plaintext: "first try on one machine"}

# What stands behind the gateway.
services:
  hello: {endpoints: http://127.0.0.1:9000, plaintext: "first try on one machine"}

# Who vouches for callers. Uncomment it, and let a route say
# `authenticate: customers` in place of `access: public`.
# identity_providers:
#   customers:
#     type: jwt
#     issuer: https://id.example.com/realms/shop
#     audience: shop-api

# What may be reached, by whom. A path that stands nowhere here is answered with 404.
routes:
  hello:
    match: {hosts: any, path: "/hello/{page}", methods: GET}
    access: public
    address_limit: {per-address: {rate: 20/s, burst: 40}}
    service: hello
"""


def init(
    directory: Path = typer.Argument(Path(), help="Where to write `gateway.yaml` and `yett.schema.json`."),
    force: bool = typer.Option(False, "--force", help="Overwrite files that are there."),
) -> None:
    """Write a small commented configuration and the schema that editors complete it with."""
    from yett.control import source

    directory.mkdir(parents=True, exist_ok=True)
    files = {directory / "gateway.yaml": TEMPLATE, directory / "yett.schema.json": source.schema_text()}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        fail(f"`{'`, `'.join(there)}` is there already; use --force to overwrite it")
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {path}")
    typer.echo(f"next: yett check {directory / 'gateway.yaml'}, then yett run {directory / 'gateway.yaml'}")
