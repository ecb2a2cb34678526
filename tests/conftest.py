"""Fixtures that several folders of tests share: small records written without training, and a browser."""

import pytest

from losscope.files import disk
from planted import _set_values, _values, browser, random, write_record, write_seven
from planted_strict import strict_record

__all__ = ["_set_values", "_values", "browser", "random", "strict_record", "unsynced", "write_record", "write_seven"]

collect_ignore = ["conftest.py"]  # looked at for doctests, it would clash with the other folders' files of its name


@pytest.fixture(autouse=True, scope="session")
def unsynced() -> None:
    """No machine loses power here, and a sync of a busy disk takes milliseconds. Other processes sync."""
    disk.sync = lambda descriptor: None
