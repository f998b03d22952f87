"""Threat: a person of one issuer whose `sub` is that of somebody else at another, where a rule names people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from yett.errors import ConfigurationError

Make = Callable[..., Any]


def office(service: Any, staff: Any, partners: Any, directory: Path, **authorize: Any) -> configs.Config:
    places = [directory / "staff", directory / "partners"]
    for place in places:
        place.mkdir(exist_ok=True)
    return {
        "identity_providers": {"staff": staff.inline(places[0]), "partners": partners.inline(places[1])},
        "services": {"origin": configs.service(service)},
        "routes": {
            "closed": configs.route(
                authenticate={"any_of": ["staff", "partners"]},
                authorize={"callers": {"users": "ann"}, **authorize},
            )
        },
    }


def test_it_has_to_be_said_whose_person_is_meant(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, staff, partners = origin(), issuer(), issuer()
    with pytest.raises(ConfigurationError) as caught:
        gateway(office(service, staff, partners, tmp_path))
    assert [error.code for error in caught.value.errors] == ["user_ambiguous"]
    gate = gateway(office(service, staff, partners, tmp_path, when="principal.provider == 'staff'"))
    assert gate.get("/a", partners.bearer(sub="ann")).reason == "policy_denied"
    assert service.saw_nothing()
    assert gate.get("/a", staff.bearer(sub="ann")).status == 200
