"""The program: what `replayt` and `python -m replayt_cli` run."""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def program() -> int:
    """Run the command line. Ctrl-C while it is still being loaded ends it as quietly as later."""
    try:
        from replayt_cli.main import main

        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(program())
