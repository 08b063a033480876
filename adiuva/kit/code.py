"""Reads a package's code, without running any of it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adiuva.kit.packages import Package
from adiuva.kit.report import Finding, Level

LONGEST_LITERAL: Final = 4_096  # characters; a prompt is text, a payload has no spaces
_COMPILED: Final = {".so", ".pyd", ".dll", ".dylib", ".pyc", ".exe", ".bin"}
_TELLING_MODULES: Final = {
    "ctypes": "calls native code",
    "marshal": "loads code from data",
    "multiprocessing": "starts processes",
    "pickle": "loads objects from data, which may run code",
    "socket": "opens sockets; ctx.http is there for HTTP",
    "subprocess": "starts processes",
    "threading": "starts threads; tools may be async instead",
}
_TELLING_CALLS: Final = {"eval", "exec", "compile", "__import__"}


def read_code(package: Package) -> Iterator[Finding]:
    """What a reviewer of the code has to know before reading it."""
    for path in sorted(package.code.rglob("*")):
        where = path.relative_to(package.code).as_posix()
        if path.suffix in _COMPILED and path.is_file():
            yield _finding("error", where, "is compiled, so nobody can review it")
        elif path.suffix == ".py" and not where.startswith(("tests/", "test_")):
            yield from _read_module(path, where)


def _read_module(path: Path, where: str) -> Iterator[Finding]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield _finding("error", where, f"is no Python that can be read: {type(error).__name__}")
        return
    for node in ast.walk(tree):
        line = f"{where}:{getattr(node, 'lineno', 1)}"
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from _judge_import(alias.name, line)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                # "from adiuva import chat" names a module too.
                whole = [f"{module}.{alias.name}" for alias in names] if module == "adiuva" else [module]
                for name in whole:
                    yield from _judge_import(name, line)
            case ast.Call(func=ast.Name(id=name)) if name in _TELLING_CALLS:
                yield _finding("warning", line, f"calls {name}")
            case ast.Constant(value=str() | bytes() as literal) if len(literal) > LONGEST_LITERAL:
                if len(literal.split()) < len(literal) / 200:
                    yield _finding("warning", line, f"has a literal of {len(literal)} characters that is no text")


def _judge_import(name: str, line: str) -> Iterator[Finding]:
    parts = name.split(".")
    if parts[0] == "adiuva" and parts[1:2] not in (["sdk"], ["testing"]):
        yield _finding("error", line, f"imports {name}; adiuva.sdk is all that a package may use")
    elif parts[:2] == ["adiuva", "testing"]:
        yield _finding("error", line, "imports adiuva.testing, which is for tests only")
    elif parts[0] in _TELLING_MODULES:
        yield _finding("warning", line, f"imports {name}: {_TELLING_MODULES[parts[0]]}")


def _finding(level: Level, where: str, message: str) -> Finding:
    return Finding(check="code", level=level, where=where, message=message)
