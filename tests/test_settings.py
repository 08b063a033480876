"""Settings: where they come from, what is refused, and that no secret shows."""

import os
import re
import stat
from ipaddress import ip_address
from pathlib import Path

import attrs
import pytest

from adiuva.settings import Settings, SettingsError

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PROD = {"ENV": "prod", "JWT_SECRET": SECRET}


def load(**environ: str) -> Settings:
    return Settings.load({"JWT_SECRET": SECRET, **environ}, dotenv=None)


def load_in(data_dir: Path) -> Settings:
    return Settings.load({"DATA_DIR": str(data_dir)}, dotenv=None)


def faults(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ, dotenv=None)
    return refused.value.faults


def test_the_defaults_are_those_of_the_design() -> None:
    settings = load()
    assert (settings.env, settings.host, settings.port) == ("dev", "127.0.0.1", 8000)
    assert settings.cors_origins == ("app://.", "http://localhost:3000", "http://localhost:5173")
    assert settings.rate_limits == {"free": 20, "pro": 60, "power": 120, "team": 200}
    assert settings.auth_rate_limits == {"register": 20, "login": 60, "refresh": 120}
    assert (settings.jwt_access_token_expire_minutes, settings.jwt_refresh_token_expire_days) == (30, 30)
    assert (settings.refresh_grace_seconds, settings.default_tier, settings.bcrypt_rounds) == (10, "free", 12)
    assert (settings.llm_lane, settings.llm_timeout_seconds, settings.chat_deadline_seconds) == ("auto", 60, 120)
    assert (settings.mailbox_capacity, settings.agent_concurrency, settings.vector_dimensions) == (1000, 512, 32)
    assert (settings.max_json_bytes, settings.max_blob_bytes) == (2**20, 2**30)
    assert settings.database_url == settings.llm_model == settings.stripe_secret_key == ""


def test_every_fault_is_told_at_once_with_variable_value_and_what_is_allowed() -> None:
    told = faults(ENV="production", PORT="80000", LOG_FORMAT="xml", DEFAULT_TIER="gold", LLM_TIMEOUT_SECONDS="soon")
    assert told == (
        "ENV='production': must be one of dev, prod",
        "PORT='80000': must be a whole number from 0 to 65535",
        "LOG_FORMAT='xml': must be one of auto, console, json",
        "DEFAULT_TIER='gold': must be one of free, pro, power, team",
        "LLM_TIMEOUT_SECONDS='soon': must be a number of seconds from 0.1 to 3600",
    )


@pytest.mark.parametrize(
    "variable,value",
    [
        ("PORT", "8000.0"),
        ("PORT", "-1"),
        ("PORT", "٣"),  # int() takes other scripts' digits
        ("MAX_BLOB_BYTES", "1e9"),
        ("REFRESH_GRACE_SECONDS", "nan"),
        ("REFRESH_GRACE_SECONDS", "inf"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "localhost:3000"),
        ("CORS_ORIGINS", "https://example.org/app"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("RATE_LIMITS", "free=0"),
        ("RATE_LIMITS", "gold=10"),
        ("RATE_LIMITS", "free"),
        ("AUTH_RATE_LIMITS", "login=many"),
        ("LLM_FALLBACK_MODELS", '["a", 1]'),
        ("LLM_FALLBACK_MODELS", '["a"'),
        ("LLM_API_BASE", "localhost:11434"),
        ("DATABASE_URL", "mysql://localhost/adiuva"),
        ("DATABASE_URL", "postgresql://localhost:port/adiuva"),
        ("RATE_LIMIT_STORAGE_URL", "redis://localhost"),
        ("BCRYPT_ROUNDS", "4"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(variable: str, value: str) -> None:
    (fault,) = faults(**{variable: value})
    assert fault.startswith(f"{variable}=")


@pytest.mark.parametrize("variable", ["JWT_SECRET", "DATABASE_URL", "NATS_URL", "RATE_LIMIT_STORAGE_URL"])
def test_a_secret_is_masked_in_a_fault(variable: str) -> None:
    (fault,) = faults(**{variable: "canary"})
    assert "canary" not in fault
    assert fault.startswith(f"{variable}=***: ")


def test_secrets_show_in_no_repr() -> None:
    settings = load(
        DATABASE_URL="postgresql://me:canary@db/adiuva",
        STRIPE_SECRET_KEY="sk_canary",
        STRIPE_WEBHOOK_SECRET="whsec_canary",
        PINECONE_API_KEY="canary",
        PINECONE_INDEX="adiuva",
        NATS_URL="nats://me:canary@localhost",
        RATE_LIMIT_STORAGE_URL="async+redis://:canary@localhost",
    )
    assert "canary" not in repr(settings)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "change-me-change-me-change-me-change-me",
        "your_jwt_secret_goes_here_please_change",
        "x" * 64,
        "é" * 15,
    ],
)
def test_prod_refuses_a_missing_short_or_default_secret(secret: str) -> None:
    (fault,) = faults(ENV="prod", JWT_SECRET=secret)
    assert "JWT_SECRET" in fault
    assert "32" in fault or "random" in fault
    assert not secret or secret not in fault


def test_prod_takes_a_secret_of_32_bytes() -> None:
    assert Settings.load(PROD, dotenv=None).jwt_secret == SECRET


def test_log_lines_are_for_people_in_dev_and_for_machines_in_prod_unless_they_are_chosen() -> None:
    assert (load().log_lines, load(**PROD).log_lines) == ("console", "json")
    assert (load(LOG_FORMAT="json").log_lines, load(**PROD, LOG_FORMAT="console").log_lines) == ("json", "console")


def test_a_short_secret_is_refused_in_dev_too() -> None:
    assert faults(JWT_SECRET="short") == ("JWT_SECRET=***: has 5 bytes, must have at least 32",)


def test_a_longer_hash_needs_a_longer_secret() -> None:
    assert faults(**PROD, JWT_ALGORITHM="hs512") == ("JWT_SECRET=***: has 32 bytes, must have at least 64",)
    assert load(JWT_ALGORITHM="HS384", JWT_SECRET=SECRET * 2).jwt_algorithm == "HS384"


@pytest.mark.parametrize("variable", ["LLM_MODEL", "LLM_ROUTER_MODEL", "LLM_MODELS", "LLM_FALLBACK_MODELS"])
def test_prod_refuses_the_offline_model_wherever_it_is_named(variable: str) -> None:
    (fault,) = faults(**PROD, **{variable: "offline/rules"})
    assert fault.startswith(f"{variable}='offline/rules'")


def test_prod_tells_every_offline_model_of_a_list() -> None:
    told = faults(**PROD, LLM_MODELS="openai/a,offline/rules", LLM_FALLBACK_MODELS="offline/a,offline/b")
    assert [fault.partition(":")[0] for fault in told] == [
        "LLM_MODELS='offline/rules'",
        "LLM_FALLBACK_MODELS='offline/a'",
        "LLM_FALLBACK_MODELS='offline/b'",
    ]


def test_pinecone_needs_key_and_index() -> None:
    assert len(faults(PINECONE_API_KEY="key")) == 1
    assert len(faults(PINECONE_INDEX="index")) == 1


def test_lists_come_separated_by_commas_or_as_a_json_array() -> None:
    assert load(LLM_MODELS="a/b, c/d,").llm_models == ("a/b", "c/d")
    assert load(LLM_MODELS='["a/b", "c/d"]').llm_models == ("a/b", "c/d")


def test_limits_that_are_not_named_keep_their_default() -> None:
    assert load(RATE_LIMITS="free=5").rate_limits == {"free": 5, "pro": 60, "power": 120, "team": 200}


def test_origins_lose_a_slash_at_the_end() -> None:
    assert load(CORS_ORIGINS="https://app.example.org/,app://.").cors_origins == ("https://app.example.org", "app://.")


def test_trusted_proxies_are_networks() -> None:
    proxies = load(TRUSTED_PROXIES="10.1.2.3/8,::1").trusted_proxies
    assert any(ip_address("10.200.0.1") in network for network in proxies)
    assert any(ip_address("::1") in network for network in proxies)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgres"])
def test_both_ways_to_write_a_database_url_mean_the_same(scheme: str) -> None:
    assert load(DATABASE_URL=f"{scheme}://me@db:5432/adiuva").database_url == "postgresql://me@db:5432/adiuva"
    assert Settings(database_url=f"{scheme}://me@db:5432/adiuva").database_url == "postgresql://me@db:5432/adiuva"


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(PORT="", LLM_MODEL="  ").port == 8000


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=9000\nHOST=0.0.0.0\n")
    settings = Settings.load({"JWT_SECRET": SECRET, "PORT": "9001"}, dotenv)
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)


def test_faults_in_dotenv_are_told_with_the_others(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=none\n")
    with pytest.raises(SettingsError) as refused:
        Settings.load({"HOST": "localhost", "ENV": "test"}, dotenv)
    assert [fault.partition("=")[0] for fault in refused.value.faults] == ["ENV", "PORT"]


def test_a_dotenv_that_is_no_text_is_told(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        Settings.load({}, dotenv)


def test_a_providers_key_in_dotenv_reaches_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "to be restored")
    monkeypatch.delenv("SOME_PROVIDER_API_KEY")
    dotenv = tmp_path / ".env"
    dotenv.write_text("SOME_PROVIDER_API_KEY=key\nOTHER_PROVIDER_API_KEY=\nPORT=9000\n")
    Settings.load({"JWT_SECRET": SECRET}, dotenv)
    assert "OTHER_PROVIDER_API_KEY" not in os.environ
    assert os.environ["SOME_PROVIDER_API_KEY"] == "key"
    assert os.environ.get("PORT") != "9000"


def test_a_server_in_dev_makes_a_secret_once_and_keeps_it_for_itself(tmp_path: Path) -> None:
    first = load_in(tmp_path / "new").with_secret()
    again = load_in(tmp_path / "new").with_secret()
    assert len(first.jwt_secret) == 64
    assert first.jwt_secret == again.jwt_secret
    assert stat.S_IMODE((tmp_path / "new" / "jwt_secret").stat().st_mode) == 0o600
    assert load_in(tmp_path / "other").with_secret().jwt_secret != first.jwt_secret
    assert load().with_secret().jwt_secret == SECRET


def test_loading_writes_nothing(tmp_path: Path) -> None:
    assert load_in(tmp_path / "new").jwt_secret == ""
    assert list(tmp_path.iterdir()) == []


def test_a_data_dir_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError) as refused:
        load_in(tmp_path / "file" / "data").with_secret()
    (fault,) = refused.value.faults
    assert fault == f"DATA_DIR={str(tmp_path / 'file' / 'data')!r} cannot be written: Not a directory"


def test_the_example_names_every_variable_and_shows_the_defaults(tmp_path: Path) -> None:
    example = (Path(__file__).parent.parent / ".env.example").read_text()
    variables = set(re.findall(r"^# ([A-Z0-9_]+)=", example, re.MULTILINE))
    assert variables - {"OPENAI_API_KEY"} == {field.name.upper() for field in attrs.fields(Settings)}
    dotenv = tmp_path / ".env"
    dotenv.write_text(re.sub(r"^# ([A-Z0-9_]+=)", r"\1", example, flags=re.MULTILINE))
    assert Settings.load({"JWT_SECRET": SECRET}, dotenv) == load()


@pytest.mark.parametrize(
    "kept, fault",
    [(b"", "has 0 bytes"), (b"canary", "has 6 bytes"), (b" " * 40, "at least 32"), (b"\xff" * 40, "UTF-8")],
)
def test_a_kept_secret_that_is_of_no_use_is_refused_with_what_to_do(tmp_path: Path, kept: bytes, fault: str) -> None:
    (tmp_path / "jwt_secret").write_bytes(kept)
    with pytest.raises(SettingsError) as refused:
        load_in(tmp_path).with_secret()
    (line,) = refused.value.faults
    assert line.startswith(f"{tmp_path / 'jwt_secret'} ")
    assert fault in line
    assert "remove it, which ends all logins, or set JWT_SECRET" in line
    assert "canary" not in line
    assert (tmp_path / "jwt_secret").read_bytes() == kept
