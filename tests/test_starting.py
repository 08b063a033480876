"""Starting the server as its operator does: what is refused, what is said, how long it takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adiuva.testing.serving import NotServingError, Served

pytestmark = pytest.mark.proof

Serve = Callable[..., Served]
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.mark.parametrize("secret", ["", "secret", "change-me-change-me-change-me-change-me"])
def test_prod_with_a_default_or_short_secret_ends_within_5_seconds_and_names_the_variable(
    serve: Serve, secret: str
) -> None:
    """AU5."""
    begin = time.perf_counter()
    with pytest.raises(NotServingError) as refused:
        serve(ENV="prod", JWT_SECRET=secret)
    status, output = refused.value.args
    assert time.perf_counter() - begin < 5
    assert status != 0
    assert "JWT_SECRET" in output
    assert "Traceback" not in output


def test_all_faults_are_told_at_once(serve: Serve) -> None:
    with pytest.raises(NotServingError) as refused:
        serve(ENV="test", PORT="http", DEFAULT_TIER="gold")
    status, output = refused.value.args
    assert status != 0
    assert all(f"{name}='" in output for name in ("ENV", "PORT", "DEFAULT_TIER"))


def test_a_second_server_on_one_data_dir_says_so_and_stops(serve: Serve) -> None:
    first = serve()
    with pytest.raises(NotServingError) as refused:
        serve()
    status, output = refused.value.args
    assert status != 0
    assert f"process {first.process.pid}" in output
    assert "DATA_DIR" in output
    assert "Traceback" not in output
    assert first.call("GET", "/health")[0] == 200


def test_a_given_database_whose_schema_is_behind_is_refused_with_what_to_do(
    serve: Serve, empty_database_url: str
) -> None:
    with pytest.raises(NotServingError) as refused:
        serve(DATABASE_URL=empty_database_url)
    status, output = refused.value.args
    assert status != 0
    assert "run `adiuva migrate`" in output
    assert "Traceback" not in output


def test_a_database_that_is_not_there_is_told(serve: Serve) -> None:
    with pytest.raises(NotServingError) as refused:
        serve(DATABASE_URL="postgresql://me:canary@127.0.0.1:1/adiuva")
    status, output = refused.value.args
    assert status != 0
    assert "DATABASE_URL" in output
    assert "canary" not in output
    assert "Traceback" not in output


def test_a_data_dir_that_cannot_be_written_is_told(serve: Serve) -> None:
    with pytest.raises(NotServingError) as refused:
        serve(DATA_DIR="/dev/null/data", JWT_SECRET=SECRET)
    status, output = refused.value.args
    assert status != 0
    assert "DATA_DIR='/dev/null/data' cannot be used: Not a directory" in output
    assert "Traceback" not in output


def test_with_an_existing_data_folder_the_start_takes_few_times_an_import_of_aiohttp(serve: Serve) -> None:
    assert serve().stop() == 0
    spans, imports = [], []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import aiohttp.web"], check=True)
        imports.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        served = serve()
        assert served.call("GET", "/health")[0] == 200
        spans.append(time.perf_counter() - begin)
        assert served.stop() == 0
    assert min(spans) < 6 * max(imports)  # 2.5 on a quiet machine, where it is 0.6 s


def test_what_was_acknowledged_outlives_a_server_that_is_killed(serve: Serve) -> None:
    credentials = {"email": "kept@example.org", "password": "correct horse"}
    served = serve()
    assert served.call("POST", "/auth/register", credentials)[0] == 201
    served.process.kill()
    served.process.wait()
    again = serve()
    status, tokens = again.call("POST", "/auth/login", credentials)
    assert status == 200
    assert again.call("GET", "/auth/me", token=tokens["access_token"])[1]["email"] == "kept@example.org"


@pytest.mark.parametrize("folder", ["data", "long" * 25])
def test_an_embedded_database_that_dies_is_back_within_15_seconds_without_a_restart_of_the_server(
    serve: Serve, tmp_path: Path, folder: str
) -> None:
    credentials = {"email": "kept@example.org", "password": "correct horse"}
    served = serve(DATA_DIR=str(tmp_path / folder))
    assert served.call("POST", "/auth/register", credentials)[0] == 201
    for time_around in (1, 2):
        pid = int((tmp_path / folder / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 15
        seen = set()
        while sum("the embedded PostgreSQL runs again" in line for line in served.lines) < time_around:
            seen.add(served.call("GET", "/health/ready")[0])
            assert time.monotonic() < end
            time.sleep(0.02)
        assert 503 in seen <= {200, 503}
        assert served.call("POST", "/auth/login", credentials)[0] == 200
        assert served.call("GET", "/health/ready")[0] == 200
    assert served.stop() == 0
    assert not (tmp_path / folder / "postgres" / "postmaster.pid").exists()
