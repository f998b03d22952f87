"""The data plane, written in Rust (crates/yett-python)."""

from typing import final

__all__ = [
    "ApplyError",
    "Engine",
    "Gateway",
    "InternalError",
    "Replay",
    "RequestContract",
    "YamlError",
    "bind",
    "check_condition",
    "check_schema",
    "parse_yaml",
    "reasons",
    "verify_signature",
]

class YamlError(ValueError):
    """Where and why a document does not parse: `args` is (line, column, message)."""

class ApplyError(ValueError):
    """Why a configuration was refused: `args[0]` is a JSON list of {pointer, message}."""

class InternalError(RuntimeError):
    """A bug of the data plane; what served before serves on."""

def parse_yaml(text: bytes) -> bytes:
    """Parse one YAML document to the JSON of `{"value": …, "marks": [line, column, …]}`; raises YamlError."""

def bind(wanted: bytes, /) -> bytes:
    """Bind listeners without serving them: `{"workers", "listeners": [{"listener", "address"}], "held": [address]}`.

    Returns what `Gateway` takes as `adopted`. Raises RuntimeError."""

def check_condition(source: str, readable: bytes, /) -> tuple[int, str] | None:
    """The first fault of a condition in CEL: bytes from its beginning, and what is wrong; None where there is none.

    `readable` is JSON: `{"claims": {provider: {name: type}}, "headers": […], "variables": […]}`."""

def check_schema(schema: bytes, formats: bool, /) -> tuple[str, str] | None:
    """The first fault of a JSON Schema (2020-12): a JSON Pointer into it, and what is wrong; None where there is none."""

def reasons() -> bytes:
    """The reasons of refusals: a JSON list of `{code, status, fault, retry, title}`."""

def verify_signature(algorithm: str, key: bytes, message: bytes, signature: bytes, /) -> bool:
    """Whether a signature is that of a public key: 32 bytes for `EdDSA`, an uncompressed point for `ES256`.

    Raises ValueError for another algorithm."""

@final
class RequestContract:
    """What the requests of one operation have to be, judged as by a gateway."""

    def __new__(cls, document: bytes, variables: list[str], /) -> RequestContract:
        """Compile a `request_validation` of the intermediate representation; `variables` are those of the path.

        Raises ValueError."""

    def refusal(
        self,
        method: str,
        query: bytes,
        variables: list[str],
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        /,
    ) -> str | None:
        """None, or why a request is refused: JSON of `{reason, status, title, detail, errors}`. `variables` are decoded."""

@final
class Engine:
    """A configuration that answers what would become of a request; nothing listens and nothing is forwarded."""

    def __new__(cls, ir: bytes, secrets: dict[str, bytes], /, *, offline: bool = False) -> Engine:
        """Build the document, or raise ApplyError. Key sets are fetched as a gateway fetches them, when a question needs
        one; `offline` asks nobody, and what would have to be asked refuses."""

    def decide(self, question: bytes, /) -> bytes:
        """What would become of a request, by the code that decides live ones: JSON in, JSON out.

        `{"listener", "method", "target", "headers": [[name, value]], "address"}`, and where wanted `server_name`,
        `certificate` (DER as hexadecimal text, taken as verified), `ja4`, `time_ms`, `body` (hexadecimal text), `principals` (callers taken as verified:
        `{"provider", "claims", "name", "proved"}`), `times` (asked so often in a row) and `trace` (says what each rule comes
        to). Raises ValueError for a question that no connection could bring."""

    def decide_many(self, batch: bytes, /) -> bytes:
        """Decide each as if it were the only one: JSON of `{"callers": …, "questions": …}` in, where `callers` of a question is a
        place in the list of callers; a JSON list of decisions or `{"error": …}` out.

        Raises ValueError where it is no such batch."""

    def events(self) -> list[str]:
        """Events that building and deciding left, as JSON lines."""

@final
class Replay:
    """Decision records against a configuration."""

    def __new__(cls, ir: bytes, secrets: dict[str, bytes], key: bytes | None, /) -> Replay:
        """Build it, or raise ApplyError. `key` is what the records were hashed with: that of the document's own
        `decision_log` where it is missing."""

    def feed(self, lines: bytes, /) -> None:
        """Judge these lines; what comes after the last line end waits for more."""

    def finish(self) -> str:
        """Judge what is left, and say what came of all: JSON, as documented in docs/replay.md."""

@final
class Gateway:
    """A running data plane. Several may live in one process."""

    def __new__(cls, options_json: bytes, /) -> Gateway:
        """Start workers; nothing listens before the first apply. Options: `{"workers": 1}`.

        `"adopted"` may list sockets from outside: `{"listener", "address", "sockets": [fd], "lock": fd}`, which are the
        gateway's from then on; the admin listener's `listener` is null."""

    def apply(self, ir: bytes, secrets: dict[str, bytes], /) -> str:
        """Serve this document and return its revision, or raise ApplyError and change nothing."""

    def status(self) -> bytes:
        """Revision, listeners with their real ports, admin address, workers, connections: JSON."""

    def metrics(self) -> bytes:
        """Prometheus text."""

    def set_challenges(self, document: bytes, /) -> None:
        """Answer these challenges of certificate authorities on plain listeners: JSON of `{token: answer}`.

        They replace those before. Raises ValueError."""

    def count_order(self, issued: bool, /) -> None:
        """Count an order of a certificate, for the metrics."""

    def key_uses(self) -> bytes:
        """When API keys were last used, by provider and id: JSON of Unix seconds, to the minute."""

    def revocations(self, request: bytes, /) -> bytes:
        """List, make or undo revocations: `{"by": …, "list": {}}`, `{"by": …, "revoke": {…}}` or `{"by": …, "undo": id}`.

        Returns `{"revocations", "held", "room"}`, or `{"acknowledged", "id", "kept", "problem"}`: JSON. Waits for the stores."""

    def bans(self, request: bytes, /) -> bytes:
        """Show bans of guarded logins, or lift one: `{"by": …, "show": {}}` or `{"by": …, "lift": {"address"}}`.

        Returns `{"rows", "room", "without_room"}`, or `{"lifted", "problem"}`: JSON."""

    def quotas(self, request: bytes, /) -> bytes:
        """Show use of quotas, or give a key its whole quota again: `{"by": …, "show": {"quota", "key", "above", "top"}}` or
        `{"by": …, "reset": {"quota", "scope", "key"}}`.

        Returns `{"rows", "more", "held", "room", "overflowed", "unwritten_ms"}`, or `{"reset", "problem"}`: JSON. Waits for the disk."""

    def reopen_logs(self) -> None:
        """Open access log files again, after they were moved away."""

    def events(self, timeout_s: float, /) -> list[str]:
        """Events since the last call as JSON lines; waits at most so many seconds for the first."""

    def hand_over(self) -> bytes:
        """The descriptors of all listeners, once more, as `adopted` of a successor: JSON. The caller closes them."""

    def alive(self, timeout_s: float, /) -> bool:
        """Whether every worker answers within so many seconds."""

    def leave(self, deadline_s: float, /) -> None:
        """Drain for a successor on the same sockets: idle connections may bring one more request."""

    def stop(self, deadline_s: float, /) -> None:
        """Drain for at most so many seconds, then close. Idempotent."""
