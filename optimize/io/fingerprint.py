"""A short name for exactly these inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

# A file as it lies there, or what a file would hold.
Content: TypeAlias = Path | bytes


def fingerprint_files(files: Iterable[tuple[str, Content]], extra: str = "") -> str:
    """First 12 hex digits of SHA-256 over names and contents of ``files`` and over ``extra``."""
    digest = hashlib.sha256()
    for name, content in sorted(files, key=lambda file: file[0]):
        digest.update(name.encode())
        digest.update(b"\0")
        if isinstance(content, bytes):
            digest.update(content)
        else:
            with content.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        digest.update(b"\0")
    digest.update(extra.encode())
    return digest.hexdigest()[:12]
