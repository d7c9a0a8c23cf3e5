"""Workers of a Dask cluster: on this machine, or wherever a scheduler is.

The instance folder is sent once to every worker, to those that join later too.  A lost worker's cases
are given to others by the scheduler; one that takes several workers with it is given up.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, WorkerPlugin
from distributed.cfexecutor import ClientExecutor

from optimize.errors import UsageError
from optimize.studies.batch_case import name_folder

_CONNECT_S = 20


class InstanceFolder(WorkerPlugin):  # type: ignore[misc]
    """Unpacks the instance folder on a worker that starts or joins."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._content = name, _packed(folder)
        self._file = folder.name if folder.is_file() else ""  # a workbook
        self.name = f"optimize-{hashlib.sha256(name.encode() + self._content).hexdigest()[:12]}"

    def setup(self, worker: Any) -> None:
        """Called once on every worker."""
        home = Path(tempfile.mkdtemp(prefix="optimize-instance-", dir=worker.local_directory))
        with tarfile.open(fileobj=io.BytesIO(self._content)) as archive:
            archive.extractall(home, filter="data")
        name_folder(self._name, home / self._file if self._file else home)


class ClusterPool:
    """A `Pool` on a Dask client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._executor: ClientExecutor = client.get_executor(pure=False)

    @property
    def width(self) -> int:
        """Two more than there are threads, so that no worker waits for the next case."""
        return int(sum(self._client.nthreads().values())) + 2

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(function, *arguments)
        return future


@contextlib.contextmanager
def cluster_pool(address: str, jobs: int, name: str, folder: Path) -> Iterator[ClusterPool]:
    """Workers at ``address`` (``local``: ``jobs`` processes here) that know the instance folder.

    Raises
    ------
    UsageError : nobody answers at the address, or the address is none.
    """
    with contextlib.ExitStack() as stack:
        if address == "local":
            cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
            client = stack.enter_context(Client(stack.enter_context(cluster)))
        else:
            client = stack.enter_context(_connected(address))
        client.register_plugin(InstanceFolder(name, folder))
        yield ClusterPool(client)


def _connected(address: str) -> Client:
    if "://" not in address:
        raise UsageError(f"--cluster {address}: write local, or the scheduler as tcp://HOST:PORT")
    try:
        return Client(address, timeout=_CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(f"--cluster {address}: no scheduler answers there ({error})") from error


def _packed(folder: Path) -> bytes:
    """All files of the instance as one archive; the same files give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        home = folder.parent if folder.is_file() else folder
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(home).parts):
                entry = tarfile.TarInfo(path.relative_to(home).as_posix())
                content = path.read_bytes()
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
