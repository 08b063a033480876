"""MK3 from a client's side: hostile archives, the time until each is refused, and the server's memory meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
import psutil
import pytest

from adiuva.testing.serving import Served
from tests.marketplace.conftest import GARDEN
from tests.marketplace.packages import HOSTILE, archive, checksum

pytestmark = pytest.mark.proof

SECONDS = 2.0
MIB = 2**20
ROOM = 100 * MIB


class Author:
    """An author on a server of its own."""

    def __init__(self, served: Served) -> None:
        self.served = served
        status, tokens = served.call("POST", "/auth/register", {"email": "a@example.com", "password": "correct horse"})
        assert status == 201
        self.token = tokens["access_token"]

    def upload(self, data: bytes) -> tuple[int, float]:
        """The status of an upload, and how long it took."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/octet-stream",
            "X-Checksum": checksum(data),
        }
        url = f"{self.served.url}/api/v1/plugins/garden-planner/package"
        begin = time.monotonic()
        try:
            answer = urlopen(Request(url, data, headers, method="PUT"), timeout=30)
        except HTTPError as refused:
            answer = refused
        with answer:
            body = orjson.loads(answer.read())
        seconds = time.monotonic() - begin
        assert answer.status == 200 or body["errors"][0]["field"] == "package"
        return answer.status, seconds


def peak_bytes(process: psutil.Process) -> int:
    """The most memory that the process has had since its start."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def largest_archive() -> bytes:
    """As large as a package may be, and as much as may be when it is unpacked."""
    import random

    chance = random.Random(3)
    return archive({f"data/{number}.txt": chance.randbytes(160_000).hex().encode() for number in range(56)})


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_hostile_archives_are_refused_within_2_s_and_100_mib(serve: Callable[..., Served]) -> None:
    limits = "free=100000,pro=100000,power=100000,team=100000"
    served = serve(DEFAULT_TIER="power", RATE_LIMITS=limits)
    author = Author(served)
    assert served.call("POST", "/plugins", GARDEN, author.token)[0] == 201
    process = psutil.Process(served.process.pid)
    before = process.memory_info().rss
    for name, make in HOSTILE.items():
        data = make()
        if len(data) > 10 * MIB:
            continue
        status, seconds = author.upload(data)
        assert (status, seconds < SECONDS) == (422, True), (name, seconds)
    assert peak_bytes(process) - before < ROOM
    big = largest_archive()
    status, seconds = author.upload(big)
    assert (status, seconds < SECONDS) == (200, True), (len(big), seconds)
    with ThreadPoolExecutor(8) as threads:
        assert {status for status, _ in threads.map(author.upload, [big] * 8)} == {200}
    assert peak_bytes(process) - before < ROOM
