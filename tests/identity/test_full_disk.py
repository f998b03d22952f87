"""A full disk under `state`: sessions and revocations that cannot be written are refused, and nothing is acknowledged."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import configs
from tests.support.browser import Browser
from tests.support.process import Process
from tests.support.site import Site
from tests.support.waiting import eventually

COOKIE = "__Host-yett-staff"
MOUNT = 'mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && exec "$@"'


class Cramped:
    """`yett run` whose state is on a file system of 1 MiB, which only it has."""

    def __init__(self, here: Site, directory: Path) -> None:
        self.small, home = directory / "small", directory / "cramped"
        self.small.mkdir()
        home.mkdir()
        # whoever may not mount may in a user namespace of its own
        alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        config = configs.deep(here.config, state={"directory": str(self.small / "state")})
        self.process = Process(config, home, prefix=(*alone, "sh", "-c", MOUNT, str(self.small)))
        self.inside = Path(f"/proc/{self.process.process.pid}/root{self.small}")
        here.register(redirect_uris=[f"https://localhost:{self.process.port}/.yett/staff/callback"])

    def fill(self) -> None:
        """To the last byte."""
        with (self.inside / "filler").open("wb", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError as error:
                    assert error.strerror == "No space left on device"

    def free(self) -> None:
        (self.inside / "filler").unlink()

    def revoke(self, subject: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.process.directory), "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-m", "yett", "revoke", str(self.process.file), "--subject", subject],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def revoked(self, copy: Path) -> set[str]:
        """Subjects whose revocation is on the disk."""
        shutil.copytree(self.inside / "state", copy)
        database = sqlite3.connect(copy / "state.db")
        try:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            entries = [json.loads(entry) for (entry,) in database.execute("SELECT entry FROM log")]
        finally:
            database.close()
        return {entry["revoke"]["what"]["id"] for entry in entries}


@pytest.fixture
def here(site: Callable[..., Site], tmp_path: Path) -> Site:
    return site(session={"store": "server"}, config={"state": {"directory": str(tmp_path / "state")}})


@pytest.fixture
def cramped(here: Site, tmp_path: Path) -> Iterator[Cramped]:
    started = Cramped(here, tmp_path)
    yield started
    started.process.stop()


def test_a_full_disk_refuses_and_acknowledges_nothing(here: Site, cramped: Cramped, tmp_path: Path) -> None:
    def browser() -> Browser:
        started = Browser(cramped.process, here.provider, here.tls)
        here.browsers.append(started)
        return started

    ann, bob = browser(), browser()
    ann.login(who="ann")
    assert ann.fetch("/app").status_code == 200
    assert cramped.revoke("carol").returncode == 0

    cramped.fill()
    location = bob.page("/app").headers["location"]
    answer = bob.page(bob.at_provider(location, "bob"), **{"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "state_unavailable" in answer.text) == (503, True), answer.text
    assert COOKIE not in bob.cookies
    said = cramped.revoke("dave")
    assert said.returncode != 0 and "not on disk" in said.stdout + said.stderr
    kept = dict(ann.cookies)
    answer = ann.fetch("/.yett/staff/logout", "POST")
    assert (answer.status_code, answer.json()["reason"]) == (503, "state_unavailable")
    assert ann.cookies == kept, "nobody is told that it is over"
    assert bob.fetch("/open/x").status_code == 200
    assert cramped.revoked(tmp_path / "full") == {"carol"}

    cramped.free()
    eventually(lambda: bob.login(who="bob").status_code == 303, 20, "a login once there is room")
    assert bob.fetch("/app").status_code == 200
    assert cramped.revoke("eve").returncode == 0
    assert {"carol", "eve"} <= cramped.revoked(tmp_path / "free")
