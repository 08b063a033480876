import inspect

import pytest
from structlog.testing import capture_logs

from adiuva import errors
from adiuva.web import problems

FAMILY = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.AdiuvaError)]


def raised(cls: type[errors.AdiuvaError]) -> errors.AdiuvaError:
    if cls is errors.ValidationFailedError:
        return errors.ValidationFailedError([("a.b", "is missing")])
    if cls is errors.RangeNotSatisfiableError:
        return errors.RangeNotSatisfiableError(7)
    return cls()


@pytest.mark.parametrize("cls", FAMILY)
def test_only_internal_errors_are_500(cls: type[errors.AdiuvaError]) -> None:
    assert (problems.status_of(raised(cls)) == 500) == (cls.code == "internal_error")


@pytest.mark.parametrize(
    "cls, status",
    [
        (errors.EmailTakenError, 409),
        (errors.TokenReusedError, 401),
        (errors.TierRequiredError, 403),
        (errors.LlmTimeoutError, 504),
        (errors.LlmUnavailableError, 502),
        (errors.LlmNotConfiguredError, 503),
        (errors.OverloadedError, 503),
    ],
)
def test_the_nearest_class_decides_the_status(cls: type[errors.AdiuvaError], status: int) -> None:
    assert problems.status_of(raised(cls)) == status


@pytest.mark.parametrize("cls", FAMILY)
def test_a_frame_has_the_code_and_a_sentence(cls: type[errors.AdiuvaError]) -> None:
    frame = problems.frame(raised(cls))
    assert (frame["type"], frame["code"]) == ("error", cls.code)
    assert frame["message"]


def test_a_frame_names_the_fields_that_are_wrong() -> None:
    assert problems.frame(raised(errors.ValidationFailedError))["message"] == "a.b: is missing"


def test_a_frame_does_not_show_what_nobody_foresaw() -> None:
    frame = problems.frame(RuntimeError("what the user wrote"))
    assert frame["code"] == "internal_error"
    assert "what the user wrote" not in frame["message"]


def test_what_caused_an_unforeseen_error_is_logged_without_its_text() -> None:
    error = RuntimeError("secret")
    error.__cause__ = KeyError("secret")
    with capture_logs() as logs:
        problems.foreseen(error)
    assert logs[0]["cause"]["error"] == "builtins.KeyError"
    assert "secret" not in repr(logs)
