"""What the shipped wheel learns from still works, and every configuration of the benchmark loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import reloading, tokens, tools, training
from bench.columns import origin_config, render, started
from bench.idle import certificate
from bench.processes import free_port, serving

YETT = Path(sys.executable).parent / "yett"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files that the configurations name."""
    directory = tmp_path_factory.mktemp("benchmark")
    certificate(directory)
    tokens.make(directory)
    (directory / "records.key").write_bytes(b"k" * 32)
    (directory / training.SCHEMA_FILE).write_text(json.dumps(training.SCHEMA))
    return directory


def test_every_kind_of_request_gets_its_answer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_YETT", str(YETT))
    made = tokens.make(directory)
    origin = free_port()
    nginx = [tools.tool("nginx"), "-e", "stderr", "-c", str(origin_config(directory, origin))]
    with (
        serving("origin", origin, nginx, directory),
        started(training.EVERYTHING, directory, origin) as server,
    ):
        training.breadth(server, made, times=2)


@pytest.mark.parametrize("template", sorted(path.name for path in (tools.HERE / "peers").glob("yett*.yaml")))
def test_the_configurations_load(template: str, directory: Path) -> None:
    values = {"RATE": 100, "ISSUER": tokens.ISSUER, "AUDIENCE": tokens.AUDIENCE}
    config = render(template, directory, PORT=free_port(), ORIGIN=free_port(), **values)
    done = subprocess.run([YETT, "check", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_missing_is_said_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_YETT", "")
    monkeypatch.setattr(
        tools, "which", lambda name: None if name in {"wrk", "haproxy"} else f"/usr/bin/{name}"
    )
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert training.main(["--needs"]) == 2
    assert (
        "install these packages first: wrk\n" in capsys.readouterr().err
    )  # not HAProxy, which no load needs


def test_reloads_need_the_measured_command_only(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_YETT", str(YETT))
    monkeypatch.setattr(reloading, "ROUTES", 50)
    monkeypatch.setattr(tools, "WORK", directory / "nothing is installed here")
    found = reloading.reloads(directory / "many.yaml", free_port())
    assert len(found.took) == 3 and found.failed == 0
    training.policies(directory)
