"""What becomes of a put when the disk is full or out of order, or the process is killed."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adiuva.blobs.files import FileStore
from adiuva.clock import now
from adiuva.errors import BlobStoreUnavailableError
from tests.blobs.conftest import Tried
from tests.blobs.streams import MIB, keys, put, read

KEY = "user/notes/record.1"


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond ``size``."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 3 * MIB, 3 * MIB + 17])
async def test_a_full_disk_is_an_error_in_time_and_keeps_nothing(files: Tried, size: int) -> None:
    await put(files.store, "user/notes/other.1", b"was there before")
    with capture_logs() as logs, full_disk(size // 2), pytest.raises(BlobStoreUnavailableError) as caught:
        await put(files.store, KEY, os.urandom(size))
    assert caught.value.retry_after
    assert [(line["log_level"], line["reason"]) for line in logs] == [("error", "File too large")]
    assert await files.leftovers() == []
    assert await keys(files.store) == ["user/notes/other.1"]
    await put(files.store, KEY, b"works again")
    assert await read(files.store, KEY) == b"works again"


async def test_a_folder_that_is_none_is_an_error_for_the_check_and_the_put(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    store = FileStore(tmp_path / "blobs")
    for call in (store.check(), put(store, KEY, b"x")):
        with pytest.raises(BlobStoreUnavailableError):
            await call
    await store.close()


KILLED = """
import asyncio, hashlib, sys
from pathlib import Path
from adiuva.blobs.files import FileStore

async def chunks():
    for _ in range(5):
        yield bytes(2**20)
    print("halfway", flush=True)
    await asyncio.Event().wait()

store = FileStore(Path(sys.argv[1]))
asyncio.run(store.put("user/notes/record.1", chunks(), size=None, sha256=hashlib.sha256(b"").hexdigest()))
"""


def _put_and_kill(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "halfway\n"
        process.send_signal(signal.SIGKILL)


async def test_what_a_kill_leaves_is_never_visible_and_swept_once_it_is_old(files: Tried, tmp_path: Path) -> None:
    _put_and_kill(tmp_path / "blobs")
    assert len(await files.leftovers()) == 1
    assert await keys(files.store) == []
    assert await files.store.sweep(now() - timedelta(hours=1)) == 0
    assert await files.store.sweep(now() + timedelta(hours=1)) == 1
    assert await files.leftovers() == []
