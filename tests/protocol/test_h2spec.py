"""h2spec, the conformance suite of HTTP/2, against the front door over TLS."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from tests.support import configs
from tests.support.go_tools import go_tool
from tests.support.origin import reply

EXPLAINED: dict[bool, set[str]] = {
    True: set(),
    False: {"http2/3.5: Sends invalid connection preface"},
}
"""Cases that fail with and without TLS, each for a reason in docs/concepts/http2.md."""


def failures(report: str) -> tuple[int, set[str]]:
    """How many cases there were, and which of them did not pass, as `package: description`."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))
    failed = {f"{case.get('package')}: {case.get('classname')}" for case in cases if len(case)}
    return len(cases), failed


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "prior-knowledge"])
def test_h2spec_strict(gateway, origin, listener_tls, tmp_path, tls):
    listener = {"tls": listener_tls} if tls else {"plaintext": "test", "http2": {"prior_knowledge": True}}
    service = origin()
    # h2spec skips a case where an answer is too short to be held back by a window
    service.behaviour = reply(body=b"x" * 1000)
    config = {**configs.public(service), "listeners": {"main": {"address": "127.0.0.1:0", **listener}}}
    gate = gateway(config)
    host, port = gate.address()
    report = tmp_path / "h2spec.xml"
    command = [str(go_tool("h2spec")), "--strict", "-o", "2", "-h", host, "-p", str(port), "-j", str(report)]
    done = subprocess.run(
        [*command, *(["-t", "-k"] if tls else [])], capture_output=True, text=True, timeout=300, check=False
    )
    count, failed = failures(report.read_text())
    assert count == 146
    assert failed == EXPLAINED[tls], done.stdout
