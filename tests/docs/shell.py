"""Checks commands of the pages against what they call: the command line, the Makefile, the settings, the routes."""

import re
import shlex
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import attrs
import click
import yaml

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.cli import main
from adiuva.llm.providers import PROVIDERS
from adiuva.settings import Settings, SettingsError
from tests.docs.blocks import ROOT

# Programs of others: what is said of them is not ours to check.
FOREIGN = {"cat", "cd", "createdb", "cut", "openssl", "pg_dump", "pg_restore", "rsync", "sha256sum", "systemctl", "tar"}
AUTHORS = {"pytest", "ruff", "mypy"}
SETTINGS = {attribute.name.upper() for attribute in attrs.fields(Settings)}
FOREIGN_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"} | {
    name for provider in PROVIDERS.values() for name in provider.key_variables
}
COMPOSE = (ROOT / "compose.yml").read_text()
OF_COMPOSE = set(re.findall(r"\$\{(\w+):-", COMPOSE))
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_HEREDOC = re.compile(r"<<'(\w+)'\n.*?^\1$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?<!\S)#.*$", re.MULTILINE)


def commands(code: str) -> Iterator[list[str]]:
    """The simple commands of a script, as lists of words; those in ``$(…)`` come too."""
    code = _COMMENT.sub("", _HEREDOC.sub("", code.replace("\\\n", " ")))
    code, inner = _without_substitutions(code)
    for script in inner:
        yield from commands(script)
    lexer = shlex.shlex(code, posix=True, punctuation_chars="|&;\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for token in [*lexer, "\n"]:
        if token.strip("|&;\n"):
            words.append(token)
        elif words:
            yield words
            words = []


def _without_substitutions(code: str) -> tuple[str, list[str]]:
    """The script with a word in place of each ``$(…)``, and what was in them."""
    inner = []
    while (start := code.find("$(")) >= 0:
        depth, end = 1, start + 2
        while depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        inner.append(code[start + 2 : end - 1])
        code = f"{code[:start]}SUBSTITUTED{code[end:]}"
    return code, inner


def faults(words: list[str]) -> list[str]:
    """What is wrong with one command."""
    variables = {}
    while words and (found := _ASSIGNMENT.fullmatch(words[0])):
        variables[found[1]] = found[2]
        words = words[1:]
    wrong = _wrong_settings(variables) if words else []
    if not words:
        return wrong
    name = Path(words[0]).name
    if name in FOREIGN | AUTHORS:
        return wrong
    check = _CHECKS.get(name)
    return [*wrong, *(check(words[1:]) if check else [f"{name} is a command that no test knows"])]


def _wrong_settings(variables: dict[str, str]) -> list[str]:
    ours = {name: value for name, value in variables.items() if name in SETTINGS}
    strangers = variables.keys() - ours.keys() - FOREIGN_VARIABLES - OF_COMPOSE
    wrong = [f"{name} is no setting" for name in strangers]
    try:
        Settings.load(ours, dotenv=None)
    except SettingsError as error:
        wrong += error.faults
    return wrong


def settings_faults(code: str) -> list[str]:
    """What is wrong with the lines of a ``.env`` file."""
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    return _wrong_settings(dict(line.split("=", 1) for line in lines))


def _adiuva(words: list[str]) -> list[str]:
    command: click.Command = main
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return [f"adiuva has no command {words[0]}"]
        command, words = command.commands[words[0]], words[1:]
        context = click.Context(command, context)
    if isinstance(command, click.Group) and not words:
        return ["adiuva is called without a command"]
    try:
        options, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return [f"adiuva {context.command_path}: {error.format_message()}"]
    missing = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        and parameter.required
        and not _given(options.get(parameter.name or ""))
    ]
    return [*(f"{context.command_path} needs {name}" for name in missing), *(f"{word} is too much" for word in rest)]


def _given(value: object) -> bool:
    return isinstance(value, str | list | tuple) and bool(value)


def _make(words: list[str]) -> list[str]:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return [f"make has no target {word}" for word in words if "=" not in word and word not in targets]


def _pip(words: list[str]) -> list[str]:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = [word.partition("[")[2] for word in words if word.startswith("adiuva[")]
    extras = {extra for text in lists for extra in re.findall(r"\w+", text)}
    return [f"there is no extra {extra}" for extra in extras if extra not in config["options.extras_require"]]


def _python(words: list[str]) -> list[str]:
    if words[0] == "-c":
        compile(words[1], "-c", "exec")
        return []
    return [] if words[0] == "-m" and find_spec(words[1]) else [f"python has no module {words[1:2]}"]


def _export(words: list[str]) -> list[str]:
    names = {word.partition("=")[0] for word in words}
    settings = {name: word.partition("=")[2] for word in words if (name := word.partition("=")[0]) in SETTINGS}
    used = {"URL", "EMAIL", "PASSWORD", "TOKEN"}
    return [
        *_wrong_settings(settings),
        *(f"{name} is no setting" for name in names - SETTINGS - FOREIGN_VARIABLES - used),
    ]


def _curl(words: list[str]) -> list[str]:
    urls = [word for word in words if word.startswith(("$URL/", "http://127.0.0.1"))]
    if len(urls) != 1:
        return [f"curl calls {len(urls)} addresses of a server"]
    path = re.sub(r"^(\$URL|http://[^/]+)", "", urls[0]).partition("?")[0]
    given = dict(pairwise(words))
    method = given.get("-X") or ("POST" if {"-d", "--json", "--data-binary"} & set(words) else "GET")
    return [] if any(_fits(method, path, *route) for route in routes()) else [f"there is no route {method} {path}"]


def _fits(method: str, path: str, known: str, pattern: str) -> bool:
    return method == known and bool(re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", pattern), path))


def routes() -> set[tuple[str, str]]:
    """Method and path of every route."""
    app = create_app(Settings(), registry=AgentRegistry.of())
    return {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}


def _gunicorn(words: list[str]) -> list[str]:
    right = words[:1] == ["--config"] and find_spec(words[1].removeprefix("python:"))
    return [] if right else [f"gunicorn has no configuration {words[1:2]}"]


def _docker(words: list[str]) -> list[str]:
    """Compose: the services are those of compose.yml, and what is run in one of them is right."""
    services = yaml.safe_load(COMPOSE)["services"]
    program, command, *rest = words
    if program != "compose" or command not in {"up", "exec"}:
        return [f"docker {program} {command} is not known here"]
    if command == "up":
        return [f"docker compose up does not know {word}" for word in rest if word not in {"--build", "--detach"}]
    service, *inner = rest
    return faults(inner) if service in services else [f"compose.yml has no service {service}"]


_CHECKS: dict[str, Callable[[list[str]], list[str]]] = {
    "adiuva": _adiuva,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "export": _export,
    "curl": _curl,
    "gunicorn": _gunicorn,
    "docker": _docker,
}
