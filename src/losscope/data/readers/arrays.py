"""Named arrays from npz, npy, parquet and safetensors files. Pickled objects are never loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from losscope.data.readers.image_parquet import damage_named
from losscope.errors import InvalidInput

SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by name; an npy file holds one, called "array".

    A column of lists of one length in a parquet file is a matrix; bfloat16 becomes float32. Raises
    InvalidInput naming the file if it is damaged or of another kind.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path} ends in '{path.suffix}'; expected one of {', '.join(READERS)}")
    return reader(path)


def _read_numpy(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:  # numpy leaves a file open that it fails to read
            loaded = np.load(file, allow_pickle=False)
            return {"array": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except Exception as error:  # numpy's parsers raise anything from zlib.error to TokenError
        raise InvalidInput(
            f"{path} can't be read ({error}); expected a whole {path.suffix} file of numbers or strings, "
            "without pickled objects"
        ) from None


def _read_parquet(path: Path) -> dict[str, np.ndarray]:
    import pyarrow.parquet as pq

    with damage_named(path):
        table = pq.read_table(path)
        arrays = {}
        for name in table.schema.names:
            cells = table[name].to_numpy()
            arrays[name] = np.stack(cells) if len(cells) and isinstance(cells[0], np.ndarray) else cells
        return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors import deserialize as untyped

    deserialize: Callable[[bytes], list[tuple[str, dict[str, object]]]] = untyped
    try:
        stored = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise InvalidInput(f"{path} can't be read ({error}); expected a whole safetensors file") from None
    return {name: _from_bytes(path, name, tensor) for name, tensor in stored}


def _from_bytes(path: Path, name: str, tensor: dict[str, object]) -> np.ndarray:
    kind, shape, data = str(tensor["dtype"]), tensor["shape"], tensor["data"]
    assert isinstance(data, (bytes, bytearray))
    assert isinstance(shape, list)
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if kind not in SAFETENSORS_TYPES:
        raise InvalidInput(f"'{name}' of {path} has the type {kind}; expected float, integer or bool")
    return np.frombuffer(data, SAFETENSORS_TYPES[kind]).reshape(shape)


READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".npz": _read_numpy,
    ".npy": _read_numpy,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}
