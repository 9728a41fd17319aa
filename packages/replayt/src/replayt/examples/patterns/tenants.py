"""One tenant = one directory of logs.

Why it exists: rights, retention, export and deletion are per tenant, and a file system has all of
them per directory. A log then never has to be searched for whose it is. What is left is to turn a
tenant's id, which strangers may choose, into a directory name that cannot lead anywhere else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from replayt.persistence import JSONLStore

DIRECTORY = re.compile(r"[a-z0-9-]{0,32}\.[0-9a-f]{32}")
MAX_ID = 1_000


class Tenants:
    """The stores of many tenants under one root. Nothing is shared between them.

    The root is created with mode 0700, and so is each directory below it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, tenant: str) -> Path:
        """Where the runs of that tenant are, or would be.

        The readable half is for people; the hash tells ids apart that differ only in case or in
        characters that a file name cannot hold. Ids are compared as they are: normalise yours.
        """
        if not tenant or len(tenant) > MAX_ID:
            raise ValueError(f"a tenant's id has 1 to {MAX_ID} characters, not {len(tenant)}")
        readable = re.sub(r"[^a-z0-9]+", "-", tenant.lower())[:32].strip("-")
        digest = hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._root / f"{readable}.{digest}"

    def store(self, tenant: str) -> JSONLStore:
        """The store of that tenant. Raises `PermissionError` where a link stands in its place."""
        directory = self.directory(tenant)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.is_symlink():
            raise PermissionError(f"{directory} is a link; a tenant's runs stay under their root")
        directory.mkdir(mode=0o700, exist_ok=True)
        return JSONLStore(directory)

    def directories(self) -> Iterator[Path]:
        """All that exist, for a job that cleans up or copies: one `replayt gc --log-dir` each."""
        if self._root.is_dir():
            for path in sorted(self._root.iterdir()):
                if DIRECTORY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                    yield path
