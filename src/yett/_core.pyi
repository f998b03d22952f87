"""The data plane, written in Rust (crates/yett-python)."""

from typing import final

__all__ = ["ApplyError", "Gateway", "InternalError", "YamlError", "parse_yaml", "reasons"]

class YamlError(ValueError):
    """Where and why a document does not parse: `args` is (line, column, message)."""

class ApplyError(ValueError):
    """Why a configuration was refused: `args[0]` is a JSON list of {pointer, message}."""

class InternalError(RuntimeError):
    """A bug of the data plane; what served before serves on."""

def parse_yaml(text: bytes) -> bytes:
    """Parse one YAML document to the JSON of `{"value": …, "marks": [line, column, …]}`; raises YamlError."""

def reasons() -> bytes:
    """The reasons of refusals: a JSON list of `{code, status, fault, retry, title}`."""

@final
class Gateway:
    """A running data plane. Several may live in one process."""

    def __new__(cls, options_json: bytes, /) -> Gateway:
        """Start workers; nothing listens before the first apply. Options: `{"workers": 1}`."""

    def apply(self, ir: bytes, secrets: dict[str, bytes], /) -> str:
        """Serve this document and return its revision, or raise ApplyError and change nothing."""

    def status(self) -> bytes:
        """Revision, listeners with their real ports, admin address, workers, connections: JSON."""

    def metrics(self) -> bytes:
        """Prometheus text."""

    def reopen_logs(self) -> None:
        """Open access log files again, after they were moved away."""

    def events(self, timeout_s: float, /) -> list[str]:
        """Events since the last call as JSON lines; waits at most so many seconds for the first."""

    def stop(self, deadline_s: float, /) -> None:
        """Drain for at most so many seconds, then close. Idempotent."""
