"""Run with the Python that has the Yett under measurement: milliseconds from the IR of a configuration to its serving on all workers."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Starts a gateway with a small change of the configuration, then applies the configuration itself."""
    from yett import _core
    from yett.config import compile_file

    path = Path(sys.argv[1])
    text = path.read_text()
    before = path.with_name("before.yaml")
    before.write_text(text.replace('body: "', 'body: "before '))
    first, second = compile_file(before), compile_file(path)
    gateway = _core.Gateway(json.dumps({"workers": 2}).encode())
    try:
        gateway.apply(first.ir, first.secrets)
        began = time.perf_counter()
        gateway.apply(second.ir, second.secrets)
        print((time.perf_counter() - began) * 1000)
    finally:
        gateway.stop(1.0)


if __name__ == "__main__":
    main()
