"""What became of a run that published nothing: one record each, outside the published periods."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import traceback
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from optimize.errors import ExitCode, InputFaults, OptimizeError
from optimize.monthly.log import Log

FOLDER = "failures"
_LISTED = 1000
# Of an operating-system error: the disk or its rights, and nothing a program has done wrong.
STORAGE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}
)


def code_of(error: BaseException) -> ExitCode:
    """The exit code of a run that ended with ``error``."""
    if isinstance(error, OptimizeError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.NO_PLAN
    if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
        return ExitCode.NOT_WRITTEN
    return ExitCode.INTERNAL_ERROR


def words_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, InputFaults):
        more = f" and {len(error.faults) - 1} more" if len(error.faults) > 1 else ""
        return f"faults in the inputs: {error.faults[0]}{more}"
    if isinstance(error, OptimizeError):
        return str(error).splitlines()[0]
    if isinstance(error, KeyboardInterrupt):
        return "stopped by a signal"
    return f"{type(error).__name__}: {error}"


def record_failure(home: Path, period: str, error: BaseException, log: Log, now: datetime) -> Path:
    """Write what happened, whole or not at all; raises OSError where the disk takes nothing."""
    code = code_of(error)
    log.tell("failed", f"period {period or '?'} failed ({code.name.lower().replace('_', ' ')}): {words_of(error)}",
             code=int(code))  # fmt: skip
    content: dict[str, Any] = {
        "at": now.isoformat(timespec="seconds"),
        "period": period,
        "code": int(code),
        "reason": words_of(error),
        "message": str(error),
        "faults": _faults(error),
        "trace": "" if isinstance(error, OptimizeError) else "".join(traceback.format_exception(error)),
        "log": log.entries,
    }
    folder = home / FOLDER
    folder.mkdir(exist_ok=True)
    number, name = tempfile.mkstemp(prefix=".writing-", dir=folder)
    place = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            json.dump(content, stream, ensure_ascii=False, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        place.chmod(0o644)
        stamp = f"{now:%Y%m%dT%H%M%S}"
        record = folder / f"{stamp}-{period or 'none'}.json"
        copy = 1
        while record.exists():
            copy += 1
            record = folder / f"{stamp}-{period or 'none'}-{copy}.json"
        place.replace(record)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return record


def list_failures(home: Path) -> list[Path]:
    """Records, the earliest first."""
    folder = home / FOLDER
    return sorted(folder.glob("[0-9]*.json")) if folder.is_dir() else []


def read_failure(record: Path) -> Mapping[str, Any]:
    """One record; a damaged one says so."""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        return {"at": "", "period": "", "code": int(ExitCode.INTERNAL_ERROR), "reason": f"{record}: {error}"}
    return content if isinstance(content, dict) else {}


def _faults(error: BaseException) -> list[dict[str, Any]]:
    if not isinstance(error, InputFaults):
        return []
    return [
        {"table": f.table, "row": f.line, "column": f.column, "expected": f.expected, "found": f.found, "mend": f.mend}
        for f in error.faults[:_LISTED]
    ]  # fmt: skip
