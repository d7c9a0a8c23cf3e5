"""Where compiled kernels are kept: beside the source, else in the user's cache, else in a temporary folder.

numba looks in the first two places by itself and refuses to work where neither can be written, as
for a job without a home that runs a package installed by somebody else.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def choose_writable_folder() -> None:
    """Send numba's cache to a temporary folder of this user where no better one can be written.

    Has to be called before numba is imported; a folder chosen by the user (``NUMBA_CACHE_DIR``) stays.
    """
    package = Path(__file__).parent
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    if "NUMBA_CACHE_DIR" in os.environ or _is_writable(package) or _is_writable(home):
        return
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"optimize-kernels-{os.getuid()}")


def _is_writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    while not folder.exists():
        if folder == folder.parent:
            return False
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
