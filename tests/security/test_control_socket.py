"""Another user makes the directory of the control socket first, and answers in the gateway's place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from yett.control import channel

NOBODY = 65534
ANSWER = b'{"ok": true, "changed": true, "revision": "0123456789abcdef", "weakened": [], "problems": []}\n'
POSE = f"""
import contextlib, os, socket, sys
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
listener = socket.socket(fileno=0)
listener.listen(5)
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(10)
        connection.recv(65536)
        connection.sendall({ANSWER!r})
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_an_answer_of_another_user_is_none(tmp_path: Path) -> None:
    path = tmp_path / "g.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        posing = subprocess.Popen([sys.executable, "-c", POSE], stdin=listener, stdout=subprocess.PIPE)
    try:
        assert posing.stdout is not None and posing.stdout.readline() == b"ready\n"
        with pytest.raises(channel.Unreachable, match=f"belongs to user {NOBODY}"):
            channel.ask(path, {"command": "reload"}, 10, derived=True)
        # a path that was given is the caller's choice
        assert channel.ask(path, {"command": "reload"}, 10)["ok"]
    finally:
        posing.kill()
        posing.communicate()
