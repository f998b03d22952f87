"""JSON-Schema-Test-Suite, as it comes with the sources of the Python package `jsonschema`, which pip fetches once."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.go_tools import ROOT

HOME = ROOT / "target" / "json-schema-test-suite"
VERSION = "4.26.0"
DRAFT = "draft2020-12"
BASE = "http://localhost:1234/"


@dataclass(frozen=True)
class Case:
    """One schema of the suite, and what it is asked."""

    file: str
    description: str
    schema: Any
    tests: tuple[tuple[str, Any, bool], ...]
    """What it is, the instance, and whether that is valid."""

    @property
    def id(self) -> str:
        return f"{self.file}: {self.description}"


def suite() -> Path:
    """The folder `json` of the sources."""
    root = HOME / f"jsonschema-{VERSION}"
    if not (root / "json" / "tests").is_dir():
        HOME.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        wanted = ["--no-binary", "jsonschema", "--dest", str(HOME), f"jsonschema=={VERSION}"]
        subprocess.run([*command, *wanted], check=True, timeout=600)
        with tarfile.open(HOME / f"jsonschema-{VERSION}.tar.gz") as archive:
            archive.extractall(HOME, filter="data")
    return root / "json"


def cases() -> Iterator[Case]:
    """The required tests."""
    remotes = dict(_remotes())
    for path in sorted((suite() / "tests" / DRAFT).glob("*.json")):
        for case in json.loads(path.read_text()):
            tests = tuple((test["description"], test["data"], test["valid"]) for test in case["tests"])
            yield Case(path.stem, case["description"], _alone(case["schema"], remotes), tests)


def _remotes() -> Iterator[tuple[str, Any]]:
    root = suite() / "remotes"
    for path in sorted(root.rglob("*.json")):
        folder = path.relative_to(root).parts[0]
        if folder.startswith("draft") and folder != DRAFT:
            continue
        yield BASE + str(path.relative_to(root)), json.loads(path.read_text())


def _alone(schema: Any, remotes: dict[str, Any]) -> Any:
    """A schema with the documents that it refers to inside of it: ours come from one file."""
    if not isinstance(schema, dict) or BASE not in json.dumps(schema):
        return schema
    own = schema.get("$id", f"{BASE}the-case")
    inner = {url: _at(url, remote) for url, remote in remotes.items() if isinstance(remote, dict)}
    return {"$id": f"{BASE}all", "$ref": own, "$defs": {"case": {**schema, "$id": own}, **inner}}


def _at(url: str, remote: dict[str, Any]) -> dict[str, Any]:
    """A document under the address that it comes from, whatever it calls itself."""
    if remote.get("$id", url) == url:
        return {"$id": url, **remote}
    return {"$id": url, "$ref": remote["$id"], "$defs": {"itself": remote}}
