"""The clauses of the store kit, by subject. The first line of each docstring is the rule."""

from replayt_core.testing._store_case import Clause
from replayt_core.testing._store_clauses import (
    appending,
    damage,
    deletion,
    following,
    listing,
    locking,
    persistence,
    reading,
    volume,
)

CLAUSES: tuple[Clause, ...] = (
    *reading.CLAUSES,
    *appending.CLAUSES,
    *volume.CLAUSES,
    *persistence.CLAUSES,
    *locking.CLAUSES,
    *damage.CLAUSES,
    *listing.CLAUSES,
    *following.CLAUSES,
    *deletion.CLAUSES,
)
"""Every clause, in the order in which they are best read."""
