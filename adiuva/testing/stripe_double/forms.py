"""Bodies as Stripe takes them: form-encoded, nested with brackets (``items[0][price]=…``)."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from adiuva.testing.stripe_double.errors import ApiError

_KEY = re.compile(r"(?P<first>[^\[\]]+)(?P<rest>(?:\[[^\[\]]*\])*)")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The parameters that the pairs of a form or of a query say; lists are written with numbers or empty brackets."""
    params: dict[str, Any] = {}
    for key, value in pairs:
        match = _KEY.fullmatch(key)
        if match is None:
            raise ApiError(400, "parameter_unknown", f"Received unknown parameter: {key}", param=key)
        _put(params, [match["first"], *_BRACKET.findall(match["rest"])], value)
    return {name: _lists(value) for name, value in params.items()}


def _put(params: dict[str, Any], path: list[str], value: str) -> None:
    for name, following in itertools.pairwise(path):
        params = params.setdefault(name, {})
        if following == "":
            path[path.index("", 1)] = str(len(params))
    params[path[-1]] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def whole(params: Mapping[str, Any], name: str) -> int:
    """A parameter that has to be a whole number."""
    text = params.get(name)
    if text is None:
        raise ApiError(400, "parameter_missing", f"Missing required param: {name}.", param=name)
    try:
        return int(str(text))
    except ValueError:
        raise ApiError(400, "parameter_invalid_integer", f"Invalid integer: {text}", param=name) from None


def required(params: Mapping[str, Any], *names: str) -> None:
    """Refuse what lacks one of these parameters."""
    for name in names:
        if params.get(name) in (None, ""):
            raise ApiError(400, "parameter_missing", f"Missing required param: {name}.", param=name)


def only(params: Mapping[str, Any], *names: str) -> None:
    """Refuse a parameter that the call does not know, as Stripe does."""
    for name in params:
        if name not in names:
            raise ApiError(400, "parameter_unknown", f"Received unknown parameter: {name}", param=name)
