"""Passwords and keys for compose.yml, made at its first start: ``python make_secrets.py FOLDER [OWNER]``.

One folder below FOLDER for each service, which mounts only its own. ``app/.env`` is written first and in one move; the
others repeat what it says. So a start that was cut short is completed by the next, and what is there is never changed.
"""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

DATABASE = USER = BUCKET = "adiuva"


def main(root: Path, owner: int) -> None:
    """Write what is missing; ``owner`` is the user id of the app, who alone may read its file."""
    app = root / "app" / ".env"
    known = dict(_lines(app))
    values = {**_made(), **known}
    if values != known:
        _write(app, "".join(f"{name}={value}\n" for name, value in values.items()), owner=owner)
    database = values["DATABASE_URL"].removeprefix(f"postgresql://{USER}:").partition("@")[0]
    _write(root / "postgres" / "password", database)
    redis = values["RATE_LIMIT_STORAGE_URL"].removeprefix("async+redis://:").partition("@")[0]
    _write(root / "valkey" / "valkey.conf", f'requirepass {redis}\nsave ""\nappendonly no\n')
    qdrant = f"service:\n  api_key: {values['QDRANT_API_KEY']}\ntelemetry_disabled: true\n"
    _write(root / "qdrant" / "config.yaml", qdrant)
    _write(root / "s3" / "s3.json", json.dumps(_s3(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"])))
    if not (encryption := root / "s3" / "security.toml").exists():
        # Without a key for it SeaweedFS refuses every object that is to be encrypted. The app has no use for this one.
        _write(encryption, f'[s3.sse]\nkek = "{secrets.token_hex(32)}"\n')


def _made() -> dict[str, str]:
    return {
        "JWT_SECRET": secrets.token_hex(32),
        "DATABASE_URL": f"postgresql://{USER}:{secrets.token_hex(24)}@postgres:5432/{DATABASE}",
        "RATE_LIMIT_STORAGE_URL": f"async+redis://:{secrets.token_hex(24)}@valkey:6379",
        "QDRANT_URL": "http://qdrant:6333",
        "QDRANT_API_KEY": secrets.token_hex(24),
        "S3_BUCKET": BUCKET,
        "S3_ENDPOINT_URL": "http://s3:8333",
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(24),
    }


def _s3(key: str, secret: str) -> object:
    """The identities of SeaweedFS: one that may do everything, and nobody else."""
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"identities": [{"name": "adiuva", "credentials": credentials, "actions": ["Admin"]}]}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    if path.exists():
        for line in path.read_text().splitlines():
            name, _, value = line.partition("=")
            yield name, value


def _write(path: Path, text: str, *, owner: int | None = None) -> None:
    """In one move; readable to ``owner``, or to whoever has the folder: the services run as users of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.chmod(0o444 if owner is None else 0o400)
    if owner is not None:
        os.chown(aside, owner, owner)
    aside.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else os.getuid())
