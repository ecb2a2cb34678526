"""npy and npz files. Object arrays are refused: reading them would run whatever program they hold."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy

from losscope.diagnosis.reading import Columns, brief
from losscope.diagnosis.reading.stored import numbers_at
from losscope.errors import InvalidInput

DEFLATE_RATIO = 1032
"""How many bytes one byte of a deflated member can become, at most."""


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    size: int  # bytes of the header


def open_npy(path: Path) -> Columns:
    """One array, called "array"."""
    with path.open("rb") as file:
        header = _header(path, file)

    def take(_: str) -> Any:
        return numbers_at(path, header.size, header.shape, header.dtype, fortran=header.fortran)

    return Columns(path, ("array",), take, take)


def open_npz(path: Path) -> Columns:
    """The arrays of an npz file; each is read when it is asked for."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist() if info.filename.endswith(".npy")}
    except Exception as error:  # zipfile raises anything from BadZipFile to NotImplementedError
        raise InvalidInput(f"{path} can't be read ({brief(error)}); expected a whole npz file") from None

    def take(name: str) -> np.ndarray:
        info = members[f"{name}.npy"]
        if info.file_size > DEFLATE_RATIO * min(info.compress_size, path.stat().st_size):
            raise InvalidInput(f"{path} says that '{brief(name)}' holds {info.file_size:,} bytes, more than it can; expected "
                               "a whole npz file: write or fetch it again")  # fmt: skip
        try:
            with zipfile.ZipFile(path) as archive, archive.open(info) as file:
                header = _header(path, file)
                content: np.ndarray = np.frombuffer(bytearray(file.read(info.file_size)), np.uint8)
                size = int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
                if size != len(content):
                    raise InvalidInput(f"{path} holds {len(content):,} bytes of '{brief(name)}' {header.shape} that needs "
                                       f"{size:,}; write or fetch it again")  # fmt: skip
                order: Literal["C", "F"] = "F" if header.fortran else "C"
                array: np.ndarray = content.view(header.dtype).reshape(header.shape, order=order)
                return array
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(
                f"{path}: '{brief(name)}' can't be read ({brief(error)}); expected a whole npz file"
            ) from None

    return Columns(path, tuple(name.removesuffix(".npy") for name in members), take, take)


def _header(path: Path, file: IO[bytes]) -> _Header:
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise InvalidInput(f"{path} has the npy version {version}; expected 1, 2 or 3")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except InvalidInput:
        raise
    except Exception as error:  # numpy's parser raises anything from ValueError to TokenError and RecursionError
        raise InvalidInput(f"{path} can't be read ({brief(error)}); expected a whole npy file") from None
    if dtype.hasobject:
        raise InvalidInput(f"{path} holds pickled Python objects, which are never loaded: they could run any program; "
                           "save numbers or strings (array.astype(str)) instead")  # fmt: skip
    if dtype.kind not in "fiubUS" or not dtype.itemsize:
        raise InvalidInput(f"{path} holds values of the type {dtype}; expected numbers or strings")
    return _Header(shape, fortran, dtype, file.tell())
