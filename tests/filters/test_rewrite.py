"""rewrite: the path that the service sees, from the template's variables."""

from __future__ import annotations

import pytest

from tests.support import configs


@pytest.mark.parametrize(
    ("template", "target", "asked", "seen"),
    [
        ("/old/{id}", "/new/{id}", "/old/7", "/new/7"),
        ("/old/{id}", "/new/{id}", "/old/7?a=b&c=%2f", "/new/7?a=b&c=%2f"),
        ("/api/{rest...}", "/{rest...}", "/api/a/b/c", "/a/b/c"),
        ("/{a}/{b}", "/{b}/{a}", "/x/y", "/y/x"),
        ("/old/{id}", "/fixed", "/old/7?q", "/fixed?q"),
        ("/api/{rest...}", "/v2/{rest...}", "/api/a%20b/c", "/v2/a%20b/c"),
    ],
)
def test_paths_are_rewritten(gateway, origin, template, target, asked, seen):
    service = origin()
    config = configs.public(service)
    config["routes"] = {"moved": configs.route(template, "GET", rewrite={"path": target})}
    gate = gateway(config)
    assert gate.get(asked).status == 200
    assert service.only.target == seen


@pytest.mark.parametrize(
    "target", ["/new/{unknown}", "new", "/a/../b", "/a//b", "/new/{id", "/new?x=y", "", "/a\r\nb"]
)
def test_templates_that_make_no_path_do_not_load(gateway, origin, target):
    config = configs.public(origin())
    config["routes"] = {"moved": configs.route("/old/{id}", "GET", rewrite={"path": target})}
    with pytest.raises(Exception):
        gateway(config)


def test_the_log_shows_the_path_that_was_asked(gateway, origin):
    config = configs.public(origin())
    config["routes"] = {"moved": configs.route("/old/{id}", "GET", rewrite={"path": "/new/{id}"})}
    gate = gateway(config)
    gate.get("/old/7")
    assert gate.log_line(status=200)["path"] == "/old/7"
