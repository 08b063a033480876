import pytest

from adiuva.sdk import ToolError, https_url


@pytest.mark.parametrize(
    "url, kept",
    [
        ("https://api.github.com", "https://api.github.com"),
        ("https://git.example.org:8443/api/v3/", "https://git.example.org:8443/api/v3"),
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234"),
        ("http://localhost/x", "http://localhost/x"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_these_are_taken(url: str, kept: str) -> None:
    assert https_url(url, name="base_url") == kept


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        [],
        "",
        "https://",
        "api.github.com",
        "http://api.github.com",
        "http://10.0.0.1",
        "ftp://localhost",
        "file:///etc/passwd",
        "https://user:secret@api.github.com",
        "https://api.github.com?x=1",
        "https://api.github.com#x",
        "https://api.github.com:port",
        "https://[::1",
        "https://a b",
        "https://a\n.example",
        "https://ä.example",
        "https://a\\@b",
        "https://a/" + "x" * 3000,
    ],
)
def test_these_are_refused_with_the_name_of_the_setting_and_without_the_value(url: object) -> None:
    with pytest.raises(ToolError, match="The setting base_url has to be an address like https") as caught:
        https_url(url, name="base_url")
    assert "secret" not in str(caught.value)
