"""`python -m yett`."""

from __future__ import annotations

from yett.cli import main

main()
