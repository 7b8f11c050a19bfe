"""What of a report does not belong into a result that is read elsewhere."""

from pathlib import Path
from typing import Any


def portable(report: dict[str, Any]) -> dict[str, Any]:
    """A loader's report without the folders of this machine: results are read elsewhere."""
    stores = {name: store | {"place": Path(store["place"]).name} for name, store in report["stores"].items()}
    return report | {"stores": stores}
