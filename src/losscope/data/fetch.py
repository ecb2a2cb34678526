"""Downloads of public data sets, accepted only with the digest that is expected of them.

DOWNLOADS holds digests that were computed from the real files, of their unpacked content, so that any
mirror's compression will do. Everything else needs a digest from whoever asks.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

from losscope.data.folders import DATA_VARIABLE, data_folder
from losscope.data.progress import Progress
from losscope.errors import InvalidInput, MissingData, UnknownName
from losscope.files import atomic

CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Mirror:
    """Where the files of a data set are published, and the SHA-256 of what each holds unpacked."""

    url: str
    files: Mapping[str, str]


DOWNLOADS: Mapping[str, Mirror] = {
    "mnist": Mirror(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion_mnist": Mirror(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def fetch_dataset(
    name: str, *, folder: Path | None = None, url: str | None = None, progress: Progress | None = None
) -> list[Path]:
    """The files of a data set of DOWNLOADS, in `folder/name`; files that are there and right are kept.

    `url` names the folder of another mirror. Raises UnknownName, and what `fetch` raises.
    """
    if name not in DOWNLOADS:
        raise UnknownName.of("download", name, DOWNLOADS)
    root = data_folder(folder)
    if root is None:
        raise MissingData(f"no data folder to fetch '{name}' to; name it with --data or ${DATA_VARIABLE}")
    mirror = DOWNLOADS[name]
    for file, expected in mirror.files.items():
        target = root / name / file
        if not is_intact(target, expected):
            address = f"{(url or mirror.url).rstrip('/')}/{file}"
            fetch(address, target, expected, unpacked=True, progress=progress)
    return [root / name / file for file in mirror.files]


def fetch(url: str, target: Path, sha256: str, *, unpacked: bool = False, progress: Progress | None = None) -> Path:
    """Download `url` to `target` if it has the digest `sha256`, of its gunzipped content if `unpacked`.

    Nothing is left behind otherwise. Raises MissingData if the server can't be reached or breaks off,
    InvalidInput if the digest differs or the address is none of http.
    """

    if urlparse(url).scheme not in ("http", "https"):
        raise InvalidInput(f"the address is '{url}'; expected one that begins with http:// or https://")
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as part:
        _download(url, part, progress)
        found = sha256_of_content(part, unpacked=unpacked)
        if found != sha256.lower():
            raise InvalidInput(
                f"{url} has the SHA-256 {found}{' unpacked' if unpacked else ''}; expected "
                f"{sha256.lower()}; nothing was kept: try another mirror, or check the digest"
            )
    return target


def is_intact(path: Path, unpacked_sha256: str) -> bool:
    """Whether a file is there and holds the content with this digest once unpacked."""
    try:
        return path.is_file() and sha256_of_content(path, unpacked=True) == unpacked_sha256
    except InvalidInput:
        return False


def sha256_of_content(path: Path, *, unpacked: bool) -> str:
    """SHA-256 of a file, gunzipped first if `unpacked`. Raises InvalidInput on a damaged gzip file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        packed = unpacked and file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) if packed else file as content:
                while block := content.read(CHUNK):
                    digest.update(block)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InvalidInput(f"{path.name} can't be unpacked ({error}); expected a whole gzip file") from None
    return digest.hexdigest()


def _download(url: str, path: Path, progress: Progress | None) -> None:
    try:
        with urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            while block := response.read(CHUNK):
                file.write(block)
                if progress:
                    progress(f"fetching {url}", file.tell(), total)
            if total and file.tell() != total:
                raise EOFError(f"it broke off after {file.tell():,} of {total:,} bytes")
    except (OSError, EOFError, HTTPException, ValueError) as error:
        raise MissingData(
            f"{url} could not be fetched ({error}). Check the network and the address, name another mirror, "
            "or copy the file by hand"
        ) from None
