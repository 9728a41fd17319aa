"""The build backend of the workspace root, which refuses: the root is not a package.

Without it, `pip install .` in the root would fall back to setuptools and install whatever folders
it finds.
"""

from __future__ import annotations

import sys
from typing import NoReturn

MESSAGE = """
The root of this repository is a workspace, not a package, so there is nothing to install here.

    hatch run demo      runs the demonstration
    hatch test          runs the tests of every package

To install one package, name its folder: pip install ./packages/replayt-core
"""


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    sys.stderr.write(MESSAGE)
    raise SystemExit(1)


build_wheel = build_sdist = build_editable = _refuse
get_requires_for_build_wheel = _refuse
get_requires_for_build_sdist = _refuse
get_requires_for_build_editable = _refuse
