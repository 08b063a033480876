"""What all tests share."""

pytest_plugins = [
    "adiuva.testing.postgres",
    "adiuva.testing.redis",
    "adiuva.testing.s3",
    "adiuva.testing.serving",
    "tests.distributions",
]
