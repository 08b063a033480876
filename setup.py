"""Packages only: setup.cfg cannot both find packages and map a folder from elsewhere to one."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["adiuva", "adiuva.*"]), "adiuva.migrations"],
    package_dir={"adiuva.migrations": "migrations"},
    package_data={
        "": ["py.typed"],
        "adiuva": ["**/*.sql", "**/*.template", "web/openapi/page.*", "web/page/files/*"],
        "adiuva.migrations": ["*.sql"],
    },
)
