"""Load shedding: a worker that falls behind refuses what matters less, and takes it again afterwards."""

from __future__ import annotations

import subprocess

from tests.support import configs
from tests.support.waiting import eventually


def config(origin, **process):
    """`/normal` is answered by the gateway itself, so that nothing but the gateway is busy with a crowd there."""
    routes = {
        name: configs.route(f"/{name}", "GET", **({"priority": name} if process and name != "normal" else {}))
        for name in ("low", "normal", "critical")
    }
    del routes["normal"]["service"]
    routes["normal"]["respond"] = {"status": 200, "body": "ok"}
    return {
        "services": {"origin": configs.service(origin)},
        "routes": routes,
        **({"process": process} if process else {}),
    }


def load(gate, path: str, seconds: int = 4) -> subprocess.Popen[bytes]:
    """Many requests at once, for a while."""
    host, port = gate.address()
    command = ["h2load", "--h1", "-t1", "-c1000", f"-D{seconds}", f"http://{host}:{port}{path}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_what_matters_less_is_refused_first_and_taken_again_later(gateway, origin):
    service = origin()
    gate = gateway(config(service, load_shedding={"delay": "5ms"}))
    assert gate.get("/low").status == 200
    crowd = load(gate, "/normal", 30)
    statuses: dict[str, list[object]] = {"/low": [], "/critical": []}
    try:
        # until it has been refused a few times, or the crowd is gone
        while crowd.poll() is None and statuses["/low"].count("overloaded") < 5:
            for path, seen in statuses.items():
                answer = gate.get(path)
                seen.append(answer.reason or answer.status)
    finally:
        crowd.kill()
        crowd.wait()
    assert statuses["/low"].count("overloaded") == 5, statuses
    assert set(statuses["/low"]) <= {200, "overloaded"} and set(statuses["/critical"]) == {200}, statuses
    eventually(lambda: gate.get("/low").status == 200, what="an end of the overload")


def test_without_it_nothing_is_refused(gateway, origin):
    gate = gateway(config(origin()))
    crowd = load(gate, "/normal", 1)
    try:
        while crowd.poll() is None:
            assert gate.get("/low").status == 200
    finally:
        crowd.kill()
        crowd.wait()
