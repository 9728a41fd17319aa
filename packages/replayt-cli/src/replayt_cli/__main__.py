"""`python -m replayt_cli`: the same as the command `replayt`."""

import sys

from replayt_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
