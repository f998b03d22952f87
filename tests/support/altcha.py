"""What a browser does with the page of a challenge: reads it, derives keys, and sends the one that was wanted."""

from __future__ import annotations

import fcntl
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).parent / "node" / "altcha"
HOME = ROOT / "target" / "node" / "altcha"


def challenge_of(page: bytes) -> dict[str, Any]:
    """The challenge of a page."""
    found = re.search(rb'data-challenge="([^"]*)"', page)
    assert found, page[:400]
    return dict(json.loads(html.unescape(found[1].decode())))


def solution_of(challenge: dict[str, Any]) -> dict[str, Any]:
    """Found by trying, by a reading of the format that is not the gateway's."""
    parameters = challenge["parameters"]
    assert parameters["algorithm"] == "PBKDF2/SHA-256"
    nonce, salt = bytes.fromhex(parameters["nonce"]), bytes.fromhex(parameters["salt"])
    for counter in range(100_000):
        password = nonce + counter.to_bytes(4, "big")
        key = hashlib.pbkdf2_hmac("sha256", password, salt, parameters["cost"], parameters["keyLength"]).hex()
        if key.startswith(parameters["keyPrefix"]):
            return {"counter": counter, "derivedKey": key}
    raise AssertionError("no key is the one that is wanted")


def solved_by_the_library(challenge: dict[str, Any]) -> dict[str, Any]:
    """By the npm package altcha-lib, installed once."""
    HOME.mkdir(parents=True, exist_ok=True)
    names = ("package.json", "package-lock.json", "solve.mjs")
    wanted = "".join((SOURCE / name).read_text() for name in names)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = HOME / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in names:
                shutil.copy(SOURCE / name, HOME / name)
            install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(install, cwd=HOME, check=True, capture_output=True)
            stamp.write_text(wanted)
    done = subprocess.run(
        ["node", "solve.mjs"],
        cwd=HOME,
        input=json.dumps(challenge),
        text=True,
        capture_output=True,
        check=True,
    )
    return dict(json.loads(done.stdout))
