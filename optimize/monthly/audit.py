"""Everything an auditor needs of one plan, in one file: inputs, model, bound, check, versions, who and when."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.city.stored import is_city_run
from optimize.city.verify import verify_city
from optimize.engine.highs import write_model
from optimize.errors import UsageError
from optimize.io.instance_folder import instance_content
from optimize.io.run_instance import folder_of, read_instance_of
from optimize.io.run_store import MANIFEST, SUMMARY, file_digest, read_manifest, read_summary
from optimize.monthly.instance_files import SCHEMAS
from optimize.names import CITY
from optimize.registry import PROGRAMMES
from optimize.report.summary import versions
from optimize.report.verdict import verdict_json
from optimize.result import KeptGoal
from optimize.verification.run import Verdict, verify_run

# Files of an archive carry this time, so that the same plan gives the same archive.
_STAMP = (1980, 1, 1, 0, 0, 0)
_OF_RUNS = ("runs", "instance", "start")
_README = """\
What lies in this archive / 本档案内容

index.json       every file with its SHA-256; what was verified, when the archive was made
                 各文件的 SHA-256，及制作档案时的复核结论
period/          the published period: inputs as read, ledger, report, log, who published it and when
                 已发布的期次：读入的数据、台账、报告、日志、发布人和时间
{runs}
In each / 每个方案文件夹内:
  run/           the plan's tables, summary.json (figures, bound, clauses), manifest.json (options, versions)
                 方案表、摘要、参数与软件版本
  instance/      the inputs it was made from / 输入数据
  model.mps      the rows and columns the bound is proven on, for any other solver
                 用于证明界限的数学模型，可由其他求解器读取
  verdict.json   the check made anew when this archive was written: plan, figures and bound recomputed
                 制作档案时重新进行的独立校核

To check it yourself / 自行校核:  optimize verify FOLDER/run --instance FOLDER/instance
"""


@dataclass(frozen=True)
class Audit:
    """An archive that was written; ``verified``: every plan in it was found as stated."""

    file: Path
    num_files: int
    verified: bool
    failures: tuple[str, ...]


def export_audit(subject: Path, file: Path) -> Audit:
    """Write the archive of a run, or of a published period with all its runs.

    Parameters
    ----------
    subject : folder of the run or period.
    file : to be written; must not exist.

    Raises
    ------
    UsageError : there is no such run or period, its inputs are gone, or ``file`` exists.
    """
    if file.exists():
        raise UsageError(f"{file} is there already; choose another name")
    runs = _runs_of(subject)
    handle, name = tempfile.mkstemp(prefix=".writing-", suffix=".zip", dir=file.resolve().parent)
    os.close(handle)
    place = Path(name)
    try:
        verdicts = []
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            index: dict[str, str] = {}
            if not (subject / SUMMARY).is_file():
                for path in _files_of_period(subject):
                    _add(archive, index, f"period/{path.relative_to(subject).as_posix()}", path.read_bytes())
            for label, run in runs.items():
                verdicts.append(_add_run(archive, index, label, run))
            listed = "\n".join(
                f"{label + '/':<16} {read_summary(run)['programme_en']}" for label, run in runs.items()
            )
            _add(archive, index, "README.txt", _README.format(runs=listed).encode())
            failures = [f"{verdict.run}: {text}" for verdict in verdicts for text in verdict.failures]
            content = {"subject": subject.as_posix(), "verified": not failures, "failures": failures,
                       "versions": versions(), "files": index}  # fmt: skip
            _add(archive, {}, "index.json", json.dumps(content, ensure_ascii=False, indent=2).encode())
        place.chmod(0o644)
        place.replace(file)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return Audit(file, len(index) + 1, not failures, tuple(failures))


def _runs_of(subject: Path) -> dict[str, Path]:
    """Run folders by the name they get in the archive."""
    if (subject / SUMMARY).is_file():
        return {str(read_summary(subject)["programme"]): subject}
    if not (subject / MANIFEST).is_file():
        raise UsageError(f"{subject} is neither a run nor a published period")
    runs = read_manifest(subject).get("runs")
    if not isinstance(runs, Mapping):
        raise UsageError(f"{subject} is neither a run nor a published period")
    return {name: subject / place for name, place in runs.items()}


def _files_of_period(folder: Path) -> list[Path]:
    """Its files but for those of its runs, which stand by themselves."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in _OF_RUNS
    )


def _add_run(archive: zipfile.ZipFile, index: dict[str, str], label: str, run: Path) -> Verdict:
    manifest = read_manifest(run)
    folder = folder_of(run, manifest, None)
    for path in sorted(run.iterdir()):
        _add(archive, index, f"{label}/run/{path.name}", path.read_bytes())
    then: Mapping[str, str] = manifest["instance_files"]
    inputs = instance_content(folder, sorted(then), SCHEMAS)
    for name in sorted(then):
        if name not in inputs or file_digest(inputs[name]) != then[name]:
            raise UsageError(
                f"{folder / name} is no longer what {run} was made from; an audit needs the inputs as they were"
            )
        content = inputs[name]
        _add(
            archive,
            index,
            f"{label}/instance/{name}",
            content if isinstance(content, bytes) else content.read_bytes(),
        )
    for name, data in _start(run, manifest):
        _add(archive, index, f"{label}/start/{name}", data)
    model = _model(run, manifest)
    if model is not None:
        _add(archive, index, f"{label}/model.mps", model)
    verdict = (verify_city if is_city_run(run) else verify_run)(run, PROGRAMMES)
    told = json.dumps(
        verdict_json(verdict) | {"seconds": None}, ensure_ascii=False, indent=2, allow_nan=False
    )
    _add(archive, index, f"{label}/verdict.json", told.encode())
    return verdict


def _start(run: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What the solve began from, so that it can be made again."""
    if "start" not in manifest:
        return
    folder = Path(os.path.normpath(run.resolve() / str(manifest["start"])))
    for name in ("projects.csv", "multipliers.csv"):
        if (folder / name).is_file():
            yield name, (folder / name).read_bytes()


def _model(run: Path, manifest: Mapping[str, Any]) -> bytes | None:
    """The arrays the bound is proven on as MPS; None where the bound rests on no arrays (`optimize verify` says so)."""
    summary = read_summary(run)
    if summary["programme"] == CITY:
        return None
    programme = next(programme for programme in PROGRAMMES if programme.name == summary["programme"])
    _, data = read_instance_of(run, manifest, programme, PROGRAMMES)
    goals = tuple(summary["goal"])
    stated = programme.bounding_arrays(programme.load(data), goals)
    if stated is None:
        return None
    kept = [KeptGoal(name, summary["figures"][name]) for name in goals[:-1]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mps"
        write_model(stated.for_goals(goals, kept), path)
        return path.read_bytes()


def _add(archive: zipfile.ZipFile, index: dict[str, str], name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)
    index[name] = hashlib.sha256(data).hexdigest()
