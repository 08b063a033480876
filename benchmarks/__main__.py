"""All benchmarks in turn: ``python -m benchmarks [NAME ...]``; the tables go to ``benchmarks/results/``, too."""

import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil

HERE = Path(__file__).parent
NAMES = ("actors", "auth_me", "startup", "idle", "chat", "streams", "sanitizer", "private_search", "blobs")


def main() -> None:
    """Run those that are named, or all that there are."""
    names = sys.argv[1:] or [name for name in NAMES if (HERE / f"{name}.py").exists()]
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    cores = f"{psutil.cpu_count()} cores of {_processor()}"
    machine = f"{platform.system()} {platform.machine()}, {cores}, Python {platform.python_version()}"
    for name in names:
        print(f"== {name}", flush=True)
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True
        )
        print(run.stdout, flush=True)
        head = f"{datetime.now(UTC):%Y-%m-%d}, {machine}. Ratios of one run; absolute figures are this machine's.\n\n"
        (results / f"{name}.md").write_text(head + run.stdout)


def _processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1] if found else platform.processor() or "an unknown processor"


if __name__ == "__main__":
    main()
