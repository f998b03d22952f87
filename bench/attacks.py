"""What `attack_filter` finds of the corpus in `corpora/`: `python -m bench.attacks` prints the table of its page.

`python -m bench.attacks 3` does so for the threshold 3; `--missed` lists what was missed, `--cost` says what a look costs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Exit code of the program that measures."""
    # Whatever is counted is the same in any build; time is measured in the one that is shipped.
    build = ["--release"] if "--cost" in arguments else []
    command = ["cargo", "run", "--locked", "--quiet", *build, "--example", "attack_figures", "--", *arguments]
    return subprocess.run(command, cwd=Path(__file__).parent.parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
