"""Seconds from ``adiuva serve`` to the first 200 on health: ``python benchmarks/startup.py``.

With an existing data folder, as at every start but the first; a Python that only imports aiohttp.web stands beside it.
"""

import statistics
import subprocess
import sys
import time

from benchmarks.kit import adiuva, data_folder

ROUNDS = 5


def main() -> None:
    """Print the table."""
    ours, bare, memory = [], [], 0.0
    with data_folder() as folder:
        with adiuva(folder):
            pass  # the first start makes the database
        for _ in range(ROUNDS):
            began = time.monotonic()
            with adiuva(folder) as (_, server):
                ours.append(time.monotonic() - began)
                memory = server.memory_info().rss / 2**20
            began = time.monotonic()
            subprocess.run([sys.executable, "-c", "import aiohttp.web"], check=True)
            bare.append(time.monotonic() - began)
    print("| | median s | x import aiohttp.web | MiB |\n|---|---:|---:|---:|")
    median, least = statistics.median(ours), statistics.median(bare)
    print(f"| adiuva serve to the first 200 | {median:.2f} | {median / least:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
