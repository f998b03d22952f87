"""Chains are verified when a configuration is read; what is not wrong but worth saying is a warning."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.certificates import DAY, Made, make
from yett.config import compile_file
from yett.config.certificates import MAX_CHAIN
from yett.control.certificates import warnings
from yett.errors import ConfigurationError


def written(directory: Path, chain: list[Made], key: Made | None = None, extra: str = "") -> Path:
    (directory / "chain.pem").write_text("".join(one.pem for one in chain))
    (directory / "edge.key").write_text((key or chain[0]).key_pem)
    file = directory / "gateway.yaml"
    file.write_text(
        "version: 1\n"
        "listeners:\n"
        "  public:\n"
        "    address: 127.0.0.1:0\n"
        "    tls: {certificates: {chain: chain.pem, key: {file: edge.key}}}\n"
        'routes: {a: {match: {hosts: any, path: "/", methods: GET}, access: public, respond: {status: 204}}}\n'
        + extra
    )
    return file


def authority() -> tuple[Made, Made]:
    root = make("root", authority=True)
    return root, make("intermediate", by=root, authority=True)


def test_a_chain_in_order_loads_and_is_in_the_inventory(tmp_path: Path) -> None:
    root, middle = authority()
    leaf = make("leaf", by=middle, names=["api.example.com", "127.0.0.1"])
    compiled = compile_file(written(tmp_path, [leaf, middle, root]))
    assert [one.position for one in compiled.certificates] == [0, 1, 2]
    first = compiled.certificates[0]
    assert (first.use, first.owner, first.names) == ("listener", "public", ("api.example.com", "127.0.0.1"))
    assert first.days_left(datetime.now(UTC)) == 29
    assert [one["serial"] for one in json.loads(compiled.ir)["certificates"]] == [
        one.serial for one in compiled.certificates
    ]


def refused(file: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        compile_file(file)
    (error,) = caught.value.errors
    assert (error.line, error.code) == (5, "chain_invalid")
    return error.message


def test_a_chain_out_of_order_does_not_load(tmp_path: Path) -> None:
    root, middle = authority()
    leaf = make("leaf", by=middle)
    assert refused(written(tmp_path, [leaf, root, middle])).startswith(
        "certificate 2 of the chain did not sign certificate 1"
    )


def test_an_intermediate_of_the_same_name_that_did_not_sign_does_not_load(tmp_path: Path) -> None:
    root, middle = authority()
    leaf = make("leaf", by=middle)
    impostor = make("intermediate", by=root, authority=True)
    assert "did not sign" in refused(written(tmp_path, [leaf, impostor]))


def test_an_intermediate_that_ended_does_not_load(tmp_path: Path) -> None:
    root = make("root", authority=True)
    middle = make("intermediate", by=root, authority=True, after=-9 * DAY, until=-DAY)
    leaf = make("leaf", by=middle)
    assert "an intermediate) ended on" in refused(written(tmp_path, [leaf, middle]))


def test_a_chain_has_a_bound(tmp_path: Path) -> None:
    root = make("root", authority=True)
    assert f"at most {MAX_CHAIN}" in refused(written(tmp_path, [root] * (MAX_CHAIN + 1)))


def test_a_certificate_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    file = written(tmp_path, [make("leaf")])
    (tmp_path / "chain.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigurationError) as caught:
        compile_file(file)
    assert [error.code for error in caught.value.errors] == ["certificate_unreadable"]
    assert str(caught.value.errors[0]).startswith(f"{file}:5:")


@pytest.mark.parametrize(
    ("after", "until", "said"),
    [
        (-9 * DAY, -DAY, "ended on"),
        (-9 * DAY, 3 * DAY, "ends in 2 days"),
        (2 * DAY, 9 * DAY, "is not valid before"),
    ],
)
def test_the_ends_of_a_leaf_are_warnings(
    tmp_path: Path, after: timedelta, until: timedelta, said: str
) -> None:
    root, middle = authority()
    leaf = make("leaf", by=middle, after=after, until=until)
    compiled = compile_file(written(tmp_path, [leaf, middle]))
    found = warnings(compiled.certificates, datetime.now(UTC), frozenset({"CN=root"}))
    assert len(found) == 1
    assert said in found[0]


def test_an_unknown_authority_is_a_warning(tmp_path: Path) -> None:
    _, middle = authority()
    compiled = compile_file(written(tmp_path, [make("leaf", by=middle), middle]))
    now = datetime.now(UTC)
    assert warnings(compiled.certificates, now, frozenset({"CN=root"})) == []
    (line,) = warnings(compiled.certificates, now)
    assert "`CN=root`, which this system does not know" in line


def test_an_authority_for_clients_that_has_ended_is_a_warning(tmp_path: Path) -> None:
    root, middle = authority()
    file = written(tmp_path, [make("leaf", by=middle), middle])
    ended = make("partners", authority=True, after=-9 * DAY, until=-DAY)
    (tmp_path / "partners.pem").write_text(ended.pem)
    demand = "client_certificates: {mode: required, ca: partners.pem}"
    text = file.read_text()
    assert "certificates:" in text
    file.write_text(text.replace("certificates:", f"{demand}, certificates:", 1))
    found = warnings(compile_file(file).certificates, datetime.now(UTC), frozenset({"CN=root"}))
    assert len(found) == 1
    assert "authority for clients" in found[0] and "accepted all the same" in found[0]
