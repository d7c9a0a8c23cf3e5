"""A short name for exactly these inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint_files(files: Iterable[tuple[str, Path]], extra: str = "") -> str:
    """First 12 hex digits of SHA-256 over names and contents of ``files`` and over ``extra``."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        digest.update(name.encode())
        digest.update(b"\0")
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        digest.update(b"\0")
    digest.update(extra.encode())
    return digest.hexdigest()[:12]
