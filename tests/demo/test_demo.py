"""The demo as a newcomer meets it: the check of itself, and the printed lines typed by hand."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from yett.demo.processes import Running
from yett.demo.run import lines
from yett.demo.shop import Shop, find_directory, free_ports
from yett.demo.story import AROUND, STEPS


def test_check_comes_out_as_said() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yett", "demo", "--check"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    every = len(STEPS) + len(AROUND)
    assert f"{every} of {every} came out as said" in done.stdout
    assert done.stdout.count("connection refused") == 2 * sum(not step.expect for step in AROUND)
    assert done.stdout.count("401 assertion_") == 2 * sum(step.expect == 401 for step in AROUND)


def test_stuffing_is_stopped_and_people_log_in() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yett", "demo", "--attack", "stuffing"],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r"^(\d+) of 450 made-up credentials reached the shop, 0 got in$", done.stdout, re.MULTILINE
    )
    assert "60 of 60 logins of people passed" in done.stdout
    assert "NOT STOPPED" not in done.stdout


def test_an_attack_that_is_not_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yett", "demo", "--attack", "everything"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "there is stuffing" in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.timeout(400)  # some eighty programs are started, one after the other
def test_the_printed_lines_work_as_printed(tmp_path: Path) -> None:
    """A copy of the shop, so that the test leaves alone what a person's demo keeps."""
    directory = tmp_path / "shop"
    shutil.copytree(find_directory(None), directory, ignore=shutil.ignore_patterns(".state", "__pycache__"))
    shop = Shop(directory, directory / ".state", free_ports())
    with Running(shop, watch=False, quiet=True):
        printed = [str(line) for line in lines(shop) if str(line).strip()]
        commands = [
            line for line in printed if re.match(r"(head -c \d+ /dev/zero \| )?curl .*--cacert", line)
        ]
        *commands, around = commands
        refused = subprocess.run(["bash", "-c", around], capture_output=True, timeout=60, check=False)
        assert refused.returncode != 0 and b"HTTP/" not in refused.stdout
        assert len(commands) == len(STEPS)
        for step, command in zip(STEPS, commands, strict=True):
            typed = command.replace("demo token ", f"demo token --directory {directory} ")
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", typed], capture_output=True, timeout=60, check=False,
                env={**os.environ, "no_proxy": "*"},
            )  # fmt: skip
            statuses = [
                int(found) for found in re.findall(rb"^HTTP/(?:1\.1|2) (\d+)", done.stdout, re.MULTILINE)
            ]
            assert statuses[-1:] == [step.expect], f"{command}\n{done.stdout!r}\n{done.stderr!r}"
            if step.reason is not None:
                assert step.reason.encode() in done.stdout


def test_a_second_start_keeps_what_the_first_made(tmp_path: Path) -> None:
    shop = Shop(find_directory(None), tmp_path / "state", free_ports())
    shop.prepare()
    made = {path.name: path.read_bytes() for path in shop.state.iterdir()}
    assert {
        "ca.pem",
        "edge.pem",
        "edge.key",
        "clients.json",
        "partner.key",
        "partners.keys.yaml",
        "identity.keys.pem",
        "identity.jwks.json",
    } <= set(made)
    for private in (
        "edge.key",
        "gateway.key",
        "identity.keys.pem",
        "orders.key",
        "clients.json",
        "people.json",
        "login.json",
        "partner.key",
        "partners.keys.yaml",
    ):
        assert (shop.state / private).stat().st_mode & 0o077 == 0
    shop.prepare()
    assert {path.name: path.read_bytes() for path in shop.state.iterdir()} == made


def test_a_demo_that_is_not_in_a_checkout_says_where_it_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yett", "demo", "--directory", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "checkout" in done.stderr


def test_one_at_a_time(tmp_path: Path) -> None:
    """A second `make run` would take the certificates, ports and tokens away from the first."""
    directory = tmp_path / "shop"
    shutil.copytree(find_directory(None), directory, ignore=shutil.ignore_patterns(".state", "__pycache__"))
    state = directory / ".state"
    state.mkdir()
    (state / "running.json").write_text("{}")
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(str(state / "control.sock"))
        first.listen()
        done = subprocess.run(
            [sys.executable, "-m", "yett", "demo", "--directory", str(directory)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "a demo of this directory runs already" in done.stderr
    assert {path.name for path in state.iterdir()} == {"control.sock", "running.json"}
