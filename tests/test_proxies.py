"""Whether calls have to look for a proxy."""

import pytest

from adiuva import proxies


@pytest.mark.parametrize(
    "variable, value, named",
    [("NO_PROXY", "127.0.0.1", False), ("HTTPS_PROXY", "http://127.0.0.1:1", True), ("ALL_PROXY", "", False)],
)
def test_calls_look_for_a_proxy_only_where_one_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, value)

    assert proxies.in_use() is named
