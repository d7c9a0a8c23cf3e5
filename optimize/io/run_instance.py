"""From a stored run back to the instance it was made from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimize.errors import InputFaults, UsageError
from optimize.io.fingerprint import Content
from optimize.io.instance_folder import instance_files, read_instance
from optimize.io.place import is_instance
from optimize.io.run_store import file_digest
from optimize.io.table_changes import changes_of
from optimize.programme import Programme
from optimize.schema import InstanceData


def read_instance_of(
    run: Path,
    manifest: Mapping[str, Any],
    programme: Programme,
    programmes: Sequence[Programme],
    given: Path | None = None,
) -> tuple[Path, InstanceData]:
    """Folder and data of the instance as it was when the run was made.

    Parameters
    ----------
    programme : the run's own.
    given : the instance; None: where the run says it lies.

    Raises
    ------
    UsageError : the instance is not there or no longer the same.
    """
    folder = folder_of(run, manifest, given)
    changed = _changed_tables(folder, programme, manifest)
    again = "give the instance as it was with --instance"
    if changed:
        raise UsageError(f"{folder} is not the instance of {run}: {'; '.join(changed)}; {again}")
    try:
        changes = changes_of(manifest.get("changes", ()))
        loaded = read_instance(folder, programmes, [programme.name], manifest.get("overrides", {}), changes)
    except InputFaults as error:
        raise UsageError(f"{folder} is not the instance of {run}: {error.faults[0]}; {again}") from error
    data = loaded.programmes[0].data
    if data.fingerprint != manifest.get("fingerprint"):
        raise UsageError(
            f"{folder} with the run's overrides is not the instance of {run}: its fingerprint is "
            f"{data.fingerprint}, the run's is {manifest.get('fingerprint')}; {again}"
        )
    return folder, data


def folder_of(run: Path, manifest: Mapping[str, Any], given: Path | None) -> Path:
    """Where the instance of a run lies; raises UsageError where it is not there."""
    if given is not None:
        return given
    places = [Path(str(manifest.get("instance", "")))]
    if "instance_from_run" in manifest:
        places.append(Path(os.path.normpath(run.resolve() / str(manifest["instance_from_run"]))))
    for place in places:
        if is_instance(place):
            return place
    raise UsageError(f"the instance of {run} ({places[0]}) is not there; name it with --instance")


def _changed_tables(folder: Path, programme: Programme, manifest: Mapping[str, Any]) -> list[str]:
    then = manifest.get("instance_files")
    if not isinstance(then, Mapping):
        return []  # the fingerprint decides
    now = dict(instance_files(folder, programme))
    changed = [f"{name} is missing" for name in then if name not in now]
    changed += [f"{name} was added" for name in now if name not in then]
    return changed + [
        f"{name} was changed"
        for name, content in now.items()
        if name in then and not _is_as_then(content, then[name])
    ]


def _is_as_then(content: Content, digest: object) -> bool:
    return (isinstance(content, bytes) or content.is_file()) and file_digest(content) == digest
