"""A plugin for pytest: policy tests in Python, with an engine in the process of the tests.

```python
def test_orders(yett_policy):
    shop = yett_policy("gateway.yaml", base="https://api.example.com")
    ann = {"provider": "customers", "subject": "ann", "scopes": ["orders.read"], "tenant": "acme"}
    shop.get("/tenants/acme/orders", principal=ann).allowed()
    shop.get("/tenants/globex/orders", principal=ann).refused("tenant_mismatch")
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from yett.policy.engine import Engine, Question


class Answer:
    """What would become of one request."""

    def __init__(self, engine: Engine, question: Question, decision: dict[str, Any]) -> None:
        self._engine, self._question = engine, question
        self.decision = decision
        """The whole decision."""

    @property
    def outcome(self) -> str:
        """`allow`, `answer` (by the gateway itself), or the reason of the refusal."""
        from yett.policy.engine import outcome

        return outcome(self.decision)

    @property
    def route(self) -> str | None:
        """The route that takes it."""
        found: str | None = self.decision["route"]
        return found

    @property
    def service(self) -> str | None:
        """The service that would see it."""
        found: str | None = self.decision["service"]
        return found

    @property
    def headers(self) -> dict[str, list[str]]:
        """Header fields that the service would see, names in lower case; nothing where none sees it."""
        from yett.policy.engine import forwarded

        return forwarded(self.decision)

    @property
    def shadow(self) -> dict[str, str]:
        """Rules in shadow by name, as far as the request got: `allow`, or the reason for which each would have refused it."""
        return {one["rule"]: one["reason"] or "allow" for one in self.decision.get("shadow", ())}

    def allowed(self) -> Answer:
        """Fails, with an explanation, unless the request is let in."""
        return self._is("allow")

    def answered(self, status: int | None = None) -> Answer:
        """Fails, with an explanation, unless the gateway answers by itself."""
        self._is("answer")
        if status is not None and self.decision["status"] != status:
            pytest.fail(f"expected status {status}, got {self.decision['status']}", pytrace=False)
        return self

    def refused(self, reason: str) -> Answer:
        """Fails, with an explanation, unless the request is refused for this reason."""
        from yett.config.base import nearest
        from yett.reasons import REASONS

        if reason not in REASONS:
            pytest.fail(f"there is no reason `{reason}`{nearest(reason, REASONS)}", pytrace=False)
        return self._is(reason)

    def _is(self, wanted: str) -> Answer:
        if self.outcome != wanted:
            pytest.fail(f"expected `{wanted}`, got `{self.outcome}`\n{self.explanation()}", pytrace=False)
        return self

    def explanation(self) -> str:
        """Why, phase by phase; safe to paste."""
        from yett.policy import explain

        return "\n".join(explain.lines(explain.explain(self._engine, self._question)))


class Policy:
    """A configuration that is asked. Each request is decided as if it were the only one."""

    def __init__(self, engine: Engine, base: str | None) -> None:
        self.engine, self._base = engine, base

    def request(
        self,
        method: str,
        url: str,
        *,
        principal: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        address: str = "192.0.2.1",
        listener: str | None = None,
        certificate: bytes | None = None,
        ja4: str | None = None,
        time: datetime | None = None,
        times: int = 1,
        external: Literal["allow", "deny"] = "allow",
    ) -> Answer:
        """Asks about one request.

        `principal` has the keys of a principal in a file of tests; several where each of several providers has to vouch.
        `certificate` is the DER of one that the handshake verified, `ja4` what the hello says of the client's program. `time` without a zone is UTC. Of `times` requests in a
        row the last one counts. `external` is what the route's external check is taken to say: nobody is asked.

        Raises:
            ValueError: it is no request, or no caller of this configuration.
        """
        from yett.policy.engine import Question

        fields = list((headers or {}).items())
        if token is not None:
            fields.append(("Authorization", f"Bearer {token}"))
        given = (
            [] if principal is None else [principal] if isinstance(principal, Mapping) else list(principal)
        )
        moment = None if time is None else (time if time.tzinfo else time.replace(tzinfo=UTC))
        question = Question(
            method,
            (self._base or "").rstrip("/") + url if url.startswith("/") else url,
            tuple(fields),
            listener,
            address,
            certificate,
            None if moment is None else int(moment.timestamp() * 1000),
            tuple(self._assumed(one) for one in given),
            times,
            body=body,
            external=external,
            ja4=ja4,
        )
        return Answer(self.engine, question, self.engine.alone(question))

    def _assumed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        from yett.errors import ConfigurationError
        from yett.policy.testing.principals import Principals, read

        try:
            principal = read(dict(given), "principal")
        except ConfigurationError as error:
            raise ValueError("; ".join(str(one) for one in error.errors)) from None
        assumed = Principals(self.engine.document, {}).assumed(principal)
        if assumed is None:
            raise ValueError("leave `principal` out for a caller without a credential")
        return assumed

    def get(self, url: str, **options: Any) -> Answer:
        """`request("GET", …)`"""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        """`request("POST", …)`"""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Answer:
        """`request("PUT", …)`"""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Answer:
        """`request("PATCH", …)`"""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Answer:
        """`request("DELETE", …)`"""
        return self.request("DELETE", url, **options)


class Policies:
    """Opens configurations, each once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._engines: dict[Path, Engine] = {}

    def __call__(self, file: str | Path, *, base: str | None = None) -> Policy:
        """The configuration of a file, relative to pytest's root directory. `base` stands before URLs that are paths.

        Raises:
            yett.control.source.Refused: with everything that is wrong with it.
        """
        from yett.policy import engine

        path = self._root / file
        if path not in self._engines:
            self._engines[path] = engine.from_file(path)
        return Policy(self._engines[path], base)


@pytest.fixture(scope="session")
def yett_policy(pytestconfig: pytest.Config) -> Policies:
    """`yett_policy("gateway.yaml")` is the configuration of this file; `.get(url, principal=…)` asks it."""
    return Policies(pytestconfig.rootpath)
