"""Services in Go, Node and Java with the very code of docs/backends, built once under target/recipes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "recipes"
JOSE4J = ("org.bitbucket.b_c:jose4j:0.9.6", "org.slf4j:slf4j-api:2.0.17")
PAGES = {
    "go": ("go", "identity.go"),
    "node": ("javascript", "identity.mjs"),
    "java": ("java", "Identity.java"),
}


def code(language: str) -> str:
    """What the page shows."""
    fence, _ = PAGES[language]
    page = (ROOT / "docs" / "backends" / f"{language}.md").read_text()
    found = re.search(rf"^```{fence}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/backends/{language}.md shows no code"
    return found[1]


def build(language: str) -> list[str]:
    """The command that serves. Takes a minute the first time.

    Raises:
        RuntimeError: a tool is not there, or failed; the message ends with what it said.
    """
    source, shown = Path(__file__).parent / "recipes" / language, code(language)
    digest = hashlib.sha256(shown.encode())
    for file in sorted(source.iterdir()):
        digest.update(file.read_bytes())
    directory = HOME / f"{language}-{digest.hexdigest()[:16]}"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / ".built").exists():
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(source, directory)
            (directory / PAGES[language][1]).write_text(shown)
            _BUILD[language](directory)
            (directory / ".built").touch()
    return _command(language, directory)


def _command(language: str, directory: Path) -> list[str]:
    if language == "go":
        return [str(directory / "recipe")]
    if language == "node":
        return [_tool("node"), str(directory / "serve.mjs")]
    return [_tool("java"), "-cp", f"{directory}:{directory / 'lib'}/*", "Serve"]


def _go(directory: Path) -> None:
    _run([_tool("go"), "build", "-o", "recipe", "."], directory)


def _node(directory: Path) -> None:
    _run([_tool("npm"), "ci", "--no-audit", "--no-fund", "--silent"], directory)


def _java(directory: Path) -> None:
    for artifact in JOSE4J:
        copy = [
            "-q",
            "-B",
            "dependency:copy",
            f"-Dartifact={artifact}",
            f"-DoutputDirectory={directory / 'lib'}",
        ]
        _run([_tool("mvn"), *copy], directory)
    _run([_tool("javac"), "-cp", f"{directory / 'lib'}/*", "Identity.java", "Serve.java"], directory)


_BUILD = {"go": _go, "node": _node, "java": _java}


def _tool(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if found is None:
        raise RuntimeError(f"a recipe of docs/backends needs `{name}`, which is not here")
    return found


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, text=True, capture_output=True, check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
