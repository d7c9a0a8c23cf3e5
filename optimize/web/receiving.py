"""An upload on its way from the network to an instance."""

from __future__ import annotations

import shutil
from pathlib import Path, PureWindowsPath

import anyio
from fastapi import UploadFile

from optimize.errors import UsageError
from optimize.web.instances import Record
from optimize.web.workspace import Workspace

_ENDINGS = (".xlsx", ".zip")
_LONGEST_NAME = 120


async def receive_upload(space: Workspace, file: UploadFile, owner: str) -> Record:
    """Keep an uploaded workbook or archive as an instance.

    Raises
    ------
    UsageError : it is refused; nothing is kept.
    """
    # what the browser calls it is shown and decides what it is read as; it is no path here
    shown = PureWindowsPath(file.filename or "").name
    shown = "".join(c for c in shown if c.isprintable())[:_LONGEST_NAME]
    ending = Path(shown.lower()).suffix
    if ending not in _ENDINGS:
        raise UsageError(
            f"{shown or 'this'} is neither an Excel workbook (.xlsx) nor a zip archive of CSV tables (.zip)"
        )

    def receive() -> Record:
        with space.instances.being_received() as place:
            upload = place / f"upload{ending}"
            with upload.open("wb") as sink:
                shutil.copyfileobj(file.file, sink)
            if upload.stat().st_size > space.settings.upload_mb << 20:
                raise UsageError(f"{shown} has more than {space.settings.upload_mb} MiB")
            if not upload.stat().st_size:
                raise UsageError(f"{shown} is empty")
            return space.instances.receive(upload, shown, owner)

    return await anyio.to_thread.run_sync(receive, limiter=space.intake_limiter)
