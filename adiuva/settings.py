"""Everything about this server that its operator decides: one class, read from the environment and a ``.env`` file.

Each field is the variable of the same name in capitals. Only ``Settings.load`` reads the environment.
"""

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import attrs
from attrs import frozen

from adiuva.errors import AdiuvaError
from adiuva.mcp_config import McpServerConfig, mcp_servers
from adiuva.tiers import TIER_NAMES, TIERS, Tier
from adiuva.variables import (
    Network,
    choice,
    limits,
    names,
    networks,
    optional,
    origins,
    seconds,
    setting,
    text,
    url,
    whole,
)

# As long as the hash (RFC 7518, 3.2).
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}

_HOW_TO_MAKE_ONE = "openssl rand -hex 32"
# What people leave in place from examples and tutorials.
_PLACEHOLDER = re.compile(
    r"(?i)\W*(change|replace|your|insert|default|example|placeholder|insecure|dev|secret|super)[\W_]"
)


class SettingsError(AdiuvaError):
    """The settings are wrong."""

    code = "invalid_settings"

    def __init__(self, faults: list[str]) -> None:
        """``faults`` are lines for the operator: variable, value (a secret's is masked), what is allowed."""
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


def _directory(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _user_data_dir() -> Path:
    import platformdirs

    return platformdirs.user_data_path("adiuva", appauthor=False)


def _database_url(value: str) -> str:
    """SQLAlchemy's way of naming the driver means the same database."""
    return re.sub(r"^postgres(ql)?(\+asyncpg)?://", "postgresql://", value)


_HTTP = url("http", "https")
_RATE_LIMITS = limits(**{name: tier.requests_per_minute for name, tier in TIERS.items()})
_AUTH_RATE_LIMITS = limits(register=20, login=60, refresh=120)


@frozen(kw_only=True)
class Settings:
    """What the operator decides. An optional text that is not set is ``""``; times are in the unit of the name."""

    # The server
    env: Literal["dev", "prod"] = setting(choice("dev", "prod"), default="dev")
    host: str = setting(text, default="127.0.0.1")
    port: int = setting(whole(0, 65535), default=8000)  # 0: any free one
    public_url: str = optional(_HTTP)  # as clients reach the server, where that is not http://HOST:PORT
    data_dir: Path = setting(_directory, factory=_user_data_dir)
    # auto: for people in dev, for machines in prod, where writing a line takes a third of the time
    log_format: Literal["auto", "console", "json"] = setting(choice("auto", "console", "json"), default="auto")
    log_level: str = setting(choice("DEBUG", "INFO", "WARNING", "ERROR", fold=str.upper), default="INFO")
    cors_origins: tuple[str, ...] = setting(
        origins, default=("app://.", "http://localhost:3000", "http://localhost:5173")
    )
    trusted_proxies: tuple[Network, ...] = setting(networks, default=())
    metrics_port: int = setting(whole(0, 65535), default=0)  # 0: /metrics is where everything else is
    otel_exporter_otlp_endpoint: str = optional(_HTTP, secret=True)
    max_json_bytes: int = setting(whole(1024, 2**30), default=2**20)
    max_blob_bytes: int = setting(whole(1, 2**40), default=2**30)
    web_concurrency: int = setting(whole(1, 1000), default=1)  # processes, under gunicorn
    # A server that is told to stop: how long it is unready and serves on, and what running requests have after that.
    shutdown_delay_seconds: float = setting(seconds(0, 300), default=1.0)
    shutdown_grace_seconds: float = setting(seconds(0, 3600), default=10.0)
    upload_lease_seconds: float = setting(seconds(1, 3600), default=30.0)

    # Accounts and sessions
    jwt_secret: str = optional(secret=True)  # in dev made once, and kept under DATA_DIR
    jwt_algorithm: str = setting(choice("HS256", "HS384", "HS512", fold=str.upper), default="HS256")
    jwt_access_token_expire_minutes: int = setting(whole(1, 24 * 60), default=30)
    jwt_refresh_token_expire_days: int = setting(whole(1, 3650), default=30)
    refresh_grace_seconds: float = setting(seconds(0, 300), default=10.0)
    bcrypt_rounds: int = setting(whole(10, 16), default=12)
    default_tier: Tier = setting(choice(*TIER_NAMES), default="free")
    rate_limits: dict[str, int] = setting(_RATE_LIMITS, factory=lambda: _RATE_LIMITS(""))
    auth_rate_limits: dict[str, int] = setting(_AUTH_RATE_LIMITS, factory=lambda: _AUTH_RATE_LIMITS(""))
    rate_limit_storage_url: str = optional(
        url("async+redis", "async+rediss", "async+valkey", "async+valkeys"), secret=True
    )

    # Models and agents
    llm_model: str = optional()
    llm_router_model: str = optional()
    llm_models: tuple[str, ...] = setting(names, default=())
    llm_fallback_models: tuple[str, ...] = setting(names, default=())
    llm_api_base: str = optional(_HTTP)
    llm_lane: Literal["auto", "litellm", "direct"] = setting(choice("auto", "litellm", "direct"), default="auto")
    llm_timeout_seconds: float = setting(seconds(0.1, 3600), default=60.0)
    chat_deadline_seconds: float = setting(seconds(0.1, 3600), default=120.0)
    mailbox_capacity: int = setting(whole(1, 10**6), default=1000)
    agent_concurrency: int = setting(whole(1, 10**5), default=512)
    blocked_plugins: tuple[str, ...] = setting(names, default=())
    plugin_load_seconds: float = setting(seconds(0.1, 600), default=10.0)
    plugin_networks: tuple[Network, ...] = setting(networks, default=())  # not public, and yet for plugins to call
    mcp_servers: tuple[McpServerConfig, ...] = setting(mcp_servers, secret=True, default=())
    nats_url: str = optional(url("nats", "tls", "ws", "wss"), secret=True)

    # Where things are kept; unset, the embedded default under DATA_DIR
    database_url: str = setting(
        url("postgresql", "postgresql+asyncpg", "postgres"), secret=True, default="", converter=_database_url
    )
    s3_bucket: str = optional()
    s3_region: str = optional()
    s3_endpoint_url: str = optional(_HTTP)
    qdrant_url: str = optional(_HTTP, secret=True)
    qdrant_api_key: str = optional(secret=True)
    pinecone_api_key: str = optional(secret=True)
    pinecone_index: str = optional()
    pinecone_api_base: str = optional(_HTTP)
    vector_dimensions: int = setting(whole(1, 8192), default=32)

    # Stripe; without a key no money moves
    stripe_secret_key: str = optional(secret=True)
    stripe_webhook_secret: str = optional(secret=True)
    stripe_api_base: str = optional(_HTTP)
    stripe_price_pro: str = optional()
    stripe_price_power: str = optional()
    stripe_price_team: str = optional()

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, dotenv: str | Path | None = ".env") -> Self:
        """Read the environment, and the ``.env`` file for what the environment does not set; empty counts as unset.

        Variables in ``.env`` that are none of ours (a model provider's key, ``AWS_*``) go into the process's own
        environment, where the libraries that they are meant for look. Nothing is written.

        Raises:
            SettingsError: Something is wrong; it tells all faults at once.
        """
        faults: list[str] = []
        kept = _read_dotenv(dotenv, faults)
        fields = {attribute.name.upper(): attribute for attribute in attrs.fields(cls)}
        values: dict[str, Any] = {}
        for variable, attribute in fields.items():
            if text := (environ.get(variable) or kept.get(variable) or "").strip():
                try:
                    values[attribute.name] = attribute.metadata["read"](text)
                except ValueError as error:
                    faults.append(_fault(variable, text, str(error), secret=attribute.metadata["secret"]))
        faults += _faults_together(values)
        if faults:
            raise SettingsError(faults)
        for variable, text in kept.items():
            if text and variable not in fields:
                os.environ.setdefault(variable, text)
        return cls(**values)

    @property
    def log_lines(self) -> Literal["console", "json"]:
        """How log lines are written."""
        if self.log_format == "auto":
            return "json" if self.env == "prod" else "console"
        return self.log_format

    def with_secret(self) -> Self:
        """The same with a ``jwt_secret``, as a server needs one: where none is set, this machine's own.

        Raises:
            SettingsError: ``data_dir``, where it is kept, cannot be written, or has one that is of no use.
        """
        return self if self.jwt_secret else attrs.evolve(self, jwt_secret=self._kept_secret())

    def _kept_secret(self) -> str:
        least = _SECRET_BYTES[self.jwt_algorithm]
        try:
            secret = _kept_secret(self.data_dir)
            fault = f"has {len(secret.encode())} bytes, must have at least {least}"
        except UnicodeDecodeError:
            secret, fault = "", "is not UTF-8"
        if len(secret.strip().encode()) < least:
            remedy = "remove it, which ends all logins, or set JWT_SECRET"
            raise SettingsError([f"{self.data_dir / 'jwt_secret'} {fault}: {remedy}"])
        return secret


def _fault(variable: str, value: str, allowed: str, *, secret: bool) -> str:
    return f"{variable}={'***' if secret and value else repr(value)}: {allowed}"


def _faults_together(values: dict[str, Any]) -> list[str]:
    """What is wrong with values that are right each by itself."""
    faults = []
    prod = values.get("env") == "prod"
    secret = values.get("jwt_secret", "")
    size, least = len(secret.encode()), _SECRET_BYTES[values.get("jwt_algorithm", "HS256")]
    if prod and not secret:
        faults.append(
            f"JWT_SECRET is not set: ENV=prod needs one of at least {least} random bytes ({_HOW_TO_MAKE_ONE})"
        )
    elif secret and size < least:
        faults.append(_fault("JWT_SECRET", secret, f"has {size} bytes, must have at least {least}", secret=True))
    elif prod and (_PLACEHOLDER.match(secret) or len(set(secret)) < 8):
        allowed = f"is a placeholder; ENV=prod needs random bytes ({_HOW_TO_MAKE_ONE})"
        faults.append(_fault("JWT_SECRET", secret, allowed, secret=True))
    if prod:
        faults += _offline_models(values)
    if (processes := values.get("web_concurrency", 1)) > 1:
        faults += _not_shared(processes, values)
    if bool(values.get("pinecone_api_key")) != bool(values.get("pinecone_index")):
        faults.append("PINECONE_API_KEY and PINECONE_INDEX go together: set both or none")
    return faults


def _not_shared(processes: int, values: dict[str, Any]) -> list[str]:
    """What each process would have for itself, so that together they are wrong."""
    needed = {
        "rate_limit_storage_url": "a Redis in which they count together; else each would grant the whole rate limit",
        "database_url": "a database that they share; the embedded one is for one process",
    }
    faults = [
        f"WEB_CONCURRENCY={processes}: {processes} processes need {name.upper()}, {why}"
        for name, why in needed.items()
        if not values.get(name)
    ]
    if not values.get("qdrant_url") and not values.get("pinecone_api_key"):
        why = "a store of vectors that they share; the embedded one is for one process"
        faults.append(f"WEB_CONCURRENCY={processes}: {processes} processes need QDRANT_URL or PINECONE_API_KEY, {why}")
    return faults


def _offline_models(values: dict[str, Any]) -> list[str]:
    models = [(name, values.get(name, "")) for name in ("llm_model", "llm_router_model")]
    models += [(name, model) for name in ("llm_models", "llm_fallback_models") for model in values.get(name, ())]
    return [
        _fault(name.upper(), model, "is not for ENV=prod; name a real model", secret=False)
        for name, model in models
        if model.startswith("offline/")
    ]


def _read_dotenv(path: str | Path | None, faults: list[str]) -> dict[str, str]:
    if path is None or not Path(path).is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path, encoding="utf-8").items() if value is not None}
    except (OSError, ValueError) as error:
        faults.append(f"{path} cannot be read: {error}")
        return {}


def _kept_secret(data_dir: Path) -> str:
    """This machine's own secret, made at the first start. Two first starts at once agree on one."""
    path = data_dir / "jwt_secret"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            aside = path.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink()
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"DATA_DIR={str(data_dir)!r} cannot be written: {error.strerror}"]) from error
