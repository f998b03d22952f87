"""Faults of conditions have their place in the file, however the condition is written there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from yett.config import compile_file
from yett.errors import ConfigurationError

HEAD = """version: 1
listeners: {local: {address: 127.0.0.1:8080, plaintext: test}}
identity_providers: {id: {type: jwt, issuer: https://id.example, audience: a, jwks: jwks.json, claims: {level: {from: level, type: int}}}}
services: {origin: {endpoints: http://127.0.0.1:9000, plaintext: test}}
routes:
  a:
    match: {hosts: any, path: "/{item}", methods: GET}
    authenticate: id
    service: origin
"""
JWKS = Path(__file__).parent / "cases" / "files" / "jwks.json"
STYLES = {
    "double": (
        '    authorize: {when: "path.item == \\"x\\" && principal.clams.level > 1"}',
        "principal.clams",
    ),
    "single": ("    authorize: {when: 'path.item == ''x'' && principal.clams.level > 1'}", "principal.clams"),
    "plain": ("    authorize:\n      when: path.item == 'x' && principal.clams.level > 1", "principal.clams"),
    "block": (
        "    authorize:\n      when: |\n        path.item == 'x'\n        && principal.clams.level > 1",
        "principal.clams",
    ),
    "folded": (
        "    authorize:\n      when: >-\n        path.item == 'x'\n        && principal.clams.level > 1",
        "principal.clams",
    ),
    "deny": ('    access: authenticated\n    deny: {x: "principal.clams.level > 1"}', "principal.clams"),
}


def fault(directory: Path, text: str):
    (directory / "jwks.json").write_bytes(JWKS.read_bytes())
    path = directory / "gateway.yaml"
    path.write_text(HEAD + text + "\n")
    with pytest.raises(ConfigurationError) as caught:
        compile_file(path)
    (error,) = caught.value.errors
    return path, error


@pytest.mark.parametrize(("text", "part"), STYLES.values(), ids=STYLES)
def test_the_place_is_that_of_the_name(tmp_path, text, part):
    path, error = fault(tmp_path, text)
    line = path.read_text().splitlines()[error.line - 1]
    assert line[error.column - 1 :].startswith("clams"), (error.line, error.column, line)
    assert error.message == "`principal` has no `clams`; did you mean `claims`?"
    shown, caret = error.excerpt.split("\n")
    assert shown[len(caret) - 1 :].startswith("clams")


def test_check_prints_the_line_and_a_caret(tmp_path):
    path, _ = fault(tmp_path, '    authorize: {when: "principal.clams.level > 1"}')
    command = [str(Path(sys.executable).with_name("yett")), "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:3] == ["  principal.clams.level > 1", "            ^"]
