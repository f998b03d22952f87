"""The command line. A command is a module that imports what is heavy when it runs, for a quick `--help`."""

from __future__ import annotations


def main() -> None:
    """The `yett` program.

    Python's search for cycles walks everything there is, again and again as it grows: models while they are built, and a
    configuration of a thousand routes. Commands that end by themselves do without it, and nothing is walked once more at the end.
    """
    import gc
    import sys

    gc.disable()
    try:
        from yett.cli.app import build, is_brief

        program = build(sys.argv[1] if len(sys.argv) > 1 else None)
        gc.freeze()
        if not is_brief(sys.argv[1:]):
            gc.enable()
        program()
    finally:
        gc.freeze()
