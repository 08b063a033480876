"""``adiuva plugin check``: looks a package over, the part that runs its code in a process with limits.

That process keeps an accident from doing harm, and shows what the code tries to do. It is no jail: whoever checks code
that may be malicious does it on a machine where that does not matter.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import orjson

from adiuva.errors import InvalidRequestError, ValidationFailedError
from adiuva.kit.code import read_code
from adiuva.kit.packages import Package, open_package
from adiuva.kit.report import Finding, Level, Report, Told, ToldManifest
from adiuva.marketplace.models import Submission
from adiuva.marketplace.submissions import checklist
from adiuva.web import wire

SECONDS: Final = 60.0
_SHOWN_OUTPUT: Final = 500  # characters


def check_package(source: Path, *, seconds: float = SECONDS) -> Report:
    """Check the package in ``source``, a folder or a wheel; running its code takes ``seconds`` at most.

    Raises:
        KitError: there is no package there that could be checked.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="adiuva-check-", ignore_cleanup_errors=True) as folder:
        package = open_package(source, Path(folder))
        findings = [*_read_metadata(package), *read_code(package)]
        told = Told()
        if package.entries:
            told, ran = _run(package, Path(folder), seconds)
            findings += ran
    manifest = told.manifest
    if manifest:
        findings += _hold_against_the_checklist(manifest, package.version)
    return Report(
        package=package.name,
        version=package.version,
        plugin_id=manifest.id if manifest else None,
        permissions=tuple(manifest.permissions) if manifest else (),
        loaded=told.loaded,
        agents=told.agents,
        observers=tuple(told.observers),
        findings=tuple(findings),
        seconds=time.monotonic() - began,
    )


def _hold_against_the_checklist(manifest: ToldManifest, version: str) -> list[Finding]:
    """What the marketplace would say of a manifest when it is submitted; what it lacks is only what is asked there."""
    asked = {"category": "other", "price_cents": 0}
    submitted = asked | attrs.asdict(manifest) | {"version": manifest.version or version}
    given = {name: value or "not said" for name, value in submitted.items() if name in {"name", "description"}}
    try:
        checklist.check(wire.structure(Submission, submitted | given), known=[])
    except ValidationFailedError as error:
        return [
            Finding(
                check="manifest",
                level="error",
                where=manifest.id,
                message=f"the marketplace refuses it: {field} {fault}",
            )
            for field, fault in error.errors
        ]
    return []


def _read_metadata(package: Package) -> list[Finding]:
    if package.entries:
        return []
    message = 'it names no module in the entry-point group "adiuva", so no server would load it'
    return [Finding(check="package", level="error", where="", message=message)]


def _run(package: Package, folder: Path, seconds: float) -> tuple[Told, list[Finding]]:
    """What the probe tells, and what there is to say of how it ended."""
    home, job, report, output = (folder / name for name in ("home", "job.json", "report.json", "output"))
    home.mkdir()
    job.write_bytes(
        orjson.dumps({"name": package.name, "version": package.version, "path": [str(path) for path in package.path]})
    )
    command = [sys.executable, "-I", "-B", "-m", "adiuva.kit.probe", str(job), str(report), str(seconds)]
    environ = {"HOME": str(home), "LANG": "C.UTF-8", "PATH": os.defpath, "TMPDIR": str(home)}
    with output.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
    told = _read(report)
    findings = [*(told.findings if told else ()), *_ended(status, told, seconds, output)]
    return told or Told(), findings


def _read(report: Path) -> Told | None:
    """What the probe has written; None where that is nothing, or was written by the package in its place."""
    try:
        return wire.read(Told, report.read_bytes())
    except (FileNotFoundError, InvalidRequestError, ValidationFailedError):
        return None


def _ended(status: int | None, told: Told | None, seconds: float, output: Path) -> list[Finding]:
    found: list[tuple[Level, str]] = []
    said = output.read_bytes()[-_SHOWN_OUTPUT:].decode(errors="replace").strip()
    if status is None:
        found.append(("error", f"it had not ended after {seconds:g} s"))
    elif status != 0 or told is None:
        found.append(("error", f"it ended the process that checked it (status {status})"))
    if said:
        found.append(("warning", f"it prints: {said}"))
    return [Finding(check="behaviour", level=level, where="", message=text) for level, text in found]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it, and whatever it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
