"""`python -m replayt`: the same as the `replayt` command."""

import sys

from replayt_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
