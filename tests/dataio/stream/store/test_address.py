"""Messages say what went wrong, and no secret."""

import fsspec
import pytest

from dataio.stream.store.address import Address


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("http://me:my-password@host/a?sig=abcdef is away"), "http://host/a?… is away"),
        (OSError("with my-password for me"), "with … for me"),
        (OSError("went to https://you:other@cdn/x?X-Amz-Signature=123&y=4, then lost"), "went to https://…@cdn/x?… then lost"),
        (OSError("key SECRET-OF-ENV, token TOKEN-OF-CONF"), "key …, token …"),
        (OSError(5, "Input/output error", "http://me:my-password@host"), "Input/output error"),
        (OSError("two\nlines"), "two lines"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_is_cleaned(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-ENV")
    monkeypatch.setenv("SOME_KEY", "short")  # rather a word
    monkeypatch.setitem(fsspec.config.conf, "gs", {"project": "input/output", "nested": {"token": "TOKEN-OF-CONF"}})
    address = Address("http://me:my-password@host/a?sig=abcdef")
    assert address.clean(error).replace("…@host", "host") == said


def test_a_place_is_named_without_them() -> None:
    assert (
        str(Address("https://me:my-password@host/a/?sig=abcdef"))
        == repr(Address("https://me:my-password@host/a"))
        == "https://host/a"
    )
