"""How many examples a property test draws; neither chance nor time nor an earlier run decides.

The same examples are drawn each time. With `HYPOTHESIS_PROFILE=thorough` there are ten times as
many, and others each time.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def examples(count: int, **further: Any) -> settings:
    """The settings of a property test with that many examples."""
    return settings(
        max_examples=count * 10 if THOROUGH else count,
        derandomize=not THOROUGH,
        database=None,
        # What takes long on a busy machine is no finding; pytest ends a test that hangs.
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.function_scoped_fixture,
        ],
        **further,
    )
