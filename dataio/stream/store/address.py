"""What a remote set may be called, and what no message may show."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dataio.format.remote import RemoteFolder

_SECRET = re.compile("secret|token|passw|credential|(^|_)key$", re.IGNORECASE)  # names of variables and options that hold one
_LONG = 8  # characters; what is shorter is rather a word that a message needs


class Address(RemoteFolder):
    """A set's URL, to read from."""

    def clean(self, error: BaseException) -> str:
        """What an error says, on one line: without what is secret in this URL, in any other, and in what the storage is given."""
        text = self._clean(error) if isinstance(error, Exception) else type(error).__name__
        for value in sorted(_given(), key=len, reverse=True):
            text = text.replace(value, "…")
        text = re.sub(r"(://)[^/\s'\"@]+@", r"\1…@", text)  # a redirect may lead to an address that holds a key of its own
        return re.sub(r"(://[^\s'\"?]*\?)[^\s'\")>]+", r"\1…", text)


def _given() -> set[str]:
    """Secrets of the environment, and of fsspec's configuration."""
    import fsspec

    return {*_secrets(os.environ), *_secrets(fsspec.config.conf)}


def _secrets(options: Mapping[Any, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and len(value) >= _LONG and _SECRET.search(str(name)):
            yield value
