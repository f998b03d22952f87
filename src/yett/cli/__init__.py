"""The command line. A command is a module that imports what is heavy when it runs, for a quick `--help`."""

from __future__ import annotations


def main() -> None:
    """The `yett` program."""
    import gc
    import sys

    from yett.collector import without_collector

    with without_collector():
        from yett.cli.app import build

        program = build(sys.argv[1] if len(sys.argv) > 1 else None)
        # what is imported stays until the end, and need not be walked
        gc.freeze()
    program()
