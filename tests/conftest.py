"""Fixtures that several folders of tests share: small records written without training, and a browser."""

from planted import _set_values, _values, browser, random, write_record, write_seven
from planted_strict import strict_record

__all__ = ["_set_values", "_values", "browser", "random", "strict_record", "write_record", "write_seven"]

collect_ignore = ["conftest.py"]  # looked at for doctests, it would clash with the other folders' files of its name
