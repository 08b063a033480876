"""The store of compose.yml, by its own command and secrets, takes and keeps blobs; nothing else of it is reached."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest
from dotenv import dotenv_values
from structlog.testing import capture_logs

from adiuva.blobs.build import build_blob_store, make_bucket
from adiuva.settings import Settings
from tests.blobs.streams import KIB, MIB, keys, put, read
from tests.deploy.conftest import BIN, free_port
from tests.deploy.test_compose import SERVICES, make_secrets

pytestmark = pytest.mark.proof

WEED = shutil.which("weed", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
# The image's entry point puts these before the command's own.
OF_THE_IMAGE = ["-master.volumePreallocate", "-master.volumeSizeLimitMB=1024"]
# Else those of two that run at once would be the same.
PORTS = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The app's, but for the host and the port."""
    make_secrets(tmp_path)
    made = {name: value or "" for name, value in dotenv_values(tmp_path / "app" / ".env").items()}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, made[name])
    assert made["S3_ENDPOINT_URL"] == "http://s3:8333"
    return Settings(env="prod", s3_bucket=made["S3_BUCKET"], s3_endpoint_url=f"http://127.0.0.1:{free_port()}")


@contextmanager
def seaweedfs(folder: Path, settings: Settings) -> Iterator[psutil.Process]:
    """The service ``s3`` with its data and secrets in ``folder``; in the end it is killed."""
    assert WEED
    program, *arguments = SERVICES["s3"]["command"]
    port = str(urlsplit(settings.s3_endpoint_url).port)
    for place, here in {"/data": folder / "data", "/run/adiuva": folder / "s3", "8333": port}.items():
        assert any(place in argument for argument in arguments)
        arguments = [argument.replace(place, str(here)) for argument in arguments]
    arguments += [f"-{name}={free_port()}" for name in [*PORTS, "s3.port.grpc"]]
    assert SERVICES["s3"]["working_dir"] == "/run/adiuva"
    (folder / "data").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        command = [WEED, "-logtostderr=true", program, *OF_THE_IMAGE, *arguments]
        process = subprocess.Popen(command, cwd=folder / "s3", stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urlopen(f"{settings.s3_endpoint_url}/healthz", timeout=5).close()
                break
            except (URLError, ConnectionError):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(WEED is None, reason="there is no SeaweedFS on this machine")
async def test_the_store_of_compose_keeps_blobs_encrypted_and_shows_its_gateway_only(
    tmp_path: Path, settings: Settings
) -> None:
    small, large = os.urandom(4 * KIB), os.urandom(9 * MIB + 1)
    with seaweedfs(tmp_path, settings) as process, capture_logs() as lines:
        await make_bucket(settings)
        await make_bucket(settings)
        store = build_blob_store(settings)
        await put(store, "user/notes/small", small)
        await put(store, "user/notes/large", large)
        await store.close()
        listening = {c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert [line for line in lines if line["log_level"] == "warning"] == []
    assert not any(small in path.read_bytes() for path in (tmp_path / "data").glob("*.dat"))
    open_to_all = {address.port for address in listening if address.ip in {"0.0.0.0", "::"}}
    assert urlsplit(settings.s3_endpoint_url).port in open_to_all
    assert len(open_to_all) == 2  # the protocol of S3, and the gateway's gRPC
    with seaweedfs(tmp_path, settings):
        store = build_blob_store(settings)
        assert await keys(store) == ["user/notes/large", "user/notes/small"]
        assert await read(store, "user/notes/small") == small
        assert await read(store, "user/notes/large", 8 * MIB - 5) == large[8 * MIB - 5 :]
        await store.close()
