"""Memory stays flat however large the blobs are, as another process sees it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

MIB = 2**20

# What a server does: bytes come from a socket in pieces as aiohttp gives them, go into the store, and come out checked.
PROGRAM = """
import asyncio, hashlib, os, sys
from pathlib import Path
from adiuva.blobs.checksums import verified
from adiuva.blobs.files import FileStore
from adiuva.blobs.s3 import S3Store
from adiuva.blobs.s3_calls import Bucket

MIB = 2**20
BLOCK = os.urandom(MIB)
where, mib = sys.argv[1], int(sys.argv[2])
store = S3Store(Bucket(name="bucket", endpoint_url=where)) if "//" in where else FileStore(Path(where))

def checksum(mib):
    hashed = hashlib.sha256()
    for _ in range(mib):
        hashed.update(BLOCK)
    return hashed.hexdigest()

async def chunks(mib):
    for _ in range(mib):
        for start in range(0, MIB, 2**17):
            yield BLOCK[start : start + 2**17]
        await asyncio.sleep(0)

async def there_and_back(key, mib, sha256):
    assert await store.put(key, chunks(mib), size=mib * MIB, sha256=sha256) == mib * MIB
    async with store.get(key) as found:
        assert sum([len(chunk) async for chunk in verified(found, sha256)]) == mib * MIB
    await store.delete(key)

async def main():
    await there_and_back("user/notes/warm", 9, checksum(9))
    sha256 = checksum(mib)
    print("ready", flush=True)
    sys.stdin.readline()
    await there_and_back("user/notes/large", mib, sha256)
    await store.close()

import uvloop
uvloop.run(main())
"""


def _growth(where: str, mib: int) -> float:
    """The most MiB that the process is larger than it was before."""
    command = [sys.executable, "-c", PROGRAM, where, str(mib)]
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    with subprocess.Popen(
        command, env={**os.environ, **keys}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        seen = psutil.Process(process.pid)
        before = peak = seen.memory_info().rss
        process.stdin.write("\n")
        process.stdin.flush()
        while process.poll() is None:
            peak = max(peak, seen.memory_info().rss)
            time.sleep(0.02)
    assert process.returncode == 0
    return float(peak - before) / MIB


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("heavy")
def test_a_gib_there_and_back_grows_a_server_by_less_than_32_mib_with_s3(s3_sink: str) -> None:
    assert _growth(s3_sink, 1024) < 32


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("heavy")
def test_a_gib_there_and_back_grows_a_server_by_less_than_32_mib_with_files(tmp_path: Path) -> None:
    assert _growth(str(tmp_path), 1024) < 32
