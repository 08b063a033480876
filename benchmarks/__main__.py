"""All benchmarks in turn: ``python -m benchmarks [NAME ...]``; the tables go to ``benchmarks/results/``, too."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("actors", "auth_me", "startup", "chat", "sanitizer", "private_search", "blobs")


def main() -> None:
    """Run those that are named, or all that there are."""
    names = sys.argv[1:] or [name for name in NAMES if (HERE / f"{name}.py").exists()]
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    for name in names:
        print(f"== {name}", flush=True)
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True
        )
        print(run.stdout, flush=True)
        head = f"{datetime.now(UTC):%Y-%m-%d}, {machine}. Ratios of one run; absolute figures are this machine's.\n\n"
        (results / f"{name}.md").write_text(head + run.stdout)


if __name__ == "__main__":
    main()
