"""What is logged, and what happens where it cannot be."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from structlog.testing import capture_logs

from adiuva.logs import log_background_errors
from adiuva.testing.serving import ADIUVA

BROKEN = {"a full disk": "2>/dev/full", "a closed pipe": "2> >(exec true)", "no standard error": "2>&-"}


@pytest.mark.proof
@pytest.mark.parametrize("sink", BROKEN)
def test_a_log_that_cannot_be_written_breaks_no_start_no_request_and_no_stop(
    sink: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    environ = {"PATH": os.environ["PATH"], "PORT": str(unused_tcp_port), "DATA_DIR": str(tmp_path / "data")}
    command = ["bash", "-c", f"exec {ADIUVA} serve {BROKEN[sink]}"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ) as server:
        end = time.monotonic() + 20
        answered = 0
        while answered < 200:
            try:
                with urlopen(f"http://127.0.0.1:{unused_tcp_port}/api/v1/health", timeout=5) as answer:
                    answered += answer.status == 200
            except (URLError, ConnectionError):
                assert time.monotonic() < end
                assert server.poll() is None
                time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_a_line_that_cannot_be_formatted_shows_none_of_its_arguments() -> None:
    script = (
        "import logging; from adiuva.logs import configure_logging; configure_logging(fmt='json', level='INFO');"
        "logging.getLogger('x').error('%d', 'canary'); logging.getLogger('x').error('after it')"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "after it" in run.stderr
    assert "canary" not in run.stderr


async def test_an_error_that_nobody_awaits_is_logged_by_class_and_place_only() -> None:
    async def stumble() -> None:
        message = "what the user wrote: canary"
        raise ValueError(message)

    def fall(text: str) -> None:
        raise KeyError(text)

    loop = asyncio.get_running_loop()
    log_background_errors(loop)
    with capture_logs() as logs:
        task = asyncio.create_task(stumble())
        await asyncio.wait([task])
        del task
        gc.collect()
        loop.call_soon(fall, "canary")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [type(entry["exc_info"]) for entry in logs] == [ValueError, KeyError]
    assert logs[0]["task"].endswith("stumble")
    assert "canary" not in repr([{**entry, "exc_info": None} for entry in logs])
