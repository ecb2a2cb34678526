"""Downloads from a local server: kept only with the right digest, and nothing left behind otherwise."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from losscope.data.fetch import DOWNLOADS, Mirror, fetch, fetch_dataset
from losscope.errors import InvalidInput, MissingData, UnknownName

CONTENT = b"pixels" * 1000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class BreaksOff(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100])

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A server with a file, the same file packed, and a folder of four packed files."""
    site = tmp_path / "site"
    (site / "set").mkdir(parents=True)
    (site / "a.bin").write_bytes(CONTENT)
    (site / "a.bin.gz").write_bytes(gzip.compress(CONTENT))
    (site / "torn.gz").write_bytes(gzip.compress(CONTENT)[:-20])
    for number in range(4):
        (site / "set" / f"{number}.gz").write_bytes(gzip.compress(bytes([number]) * 50))
    yield from serve(partial(Quiet, directory=str(site)))


@pytest.fixture
def breaking() -> Iterator[str]:
    yield from serve(BreaksOff)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_right_digest_is_kept(mirror: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    target = tmp_path / "new" / "folder" / "a.bin"
    assert fetch(f"{mirror}/a.bin", target, sha256(CONTENT).upper(), progress=lambda *said: seen.append(said)) == target
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (f"fetching {mirror}/a.bin", 6000, 6000)
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


def test_the_digest_may_be_that_of_the_unpacked_content(mirror: str, tmp_path: Path) -> None:
    for name in ("a.bin.gz", "a.bin"):
        fetch(f"{mirror}/{name}", tmp_path / "out" / name, sha256(CONTENT), unpacked=True)
    assert gzip.decompress((tmp_path / "out" / "a.bin.gz").read_bytes()) == CONTENT


def test_another_digest_is_refused_and_nothing_is_left(mirror: str, tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.bin"
    with pytest.raises(InvalidInput, match=f"SHA-256 {sha256(CONTENT)}; expected {'0' * 64}"):
        fetch(f"{mirror}/a.bin", target, "0" * 64)
    assert list(target.parent.iterdir()) == []
    target.write_bytes(b"what was there before")
    with pytest.raises(InvalidInput, match="nothing was kept"):
        fetch(f"{mirror}/a.bin", target, "0" * 64)
    assert target.read_bytes() == b"what was there before"


def test_a_torn_gzip_file_is_refused(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can't be unpacked"):
        fetch(f"{mirror}/torn.gz", tmp_path / "out" / "torn.gz", sha256(CONTENT), unpacked=True)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("{mirror}/absent", "HTTP Error 404"),
        ("http://127.0.0.1:1/a", "Connection refused"),
        ("{breaking}/a", "broke off after 100 of 6,000 bytes"),
    ],
)
def test_servers_that_fail(mirror: str, breaking: str, tmp_path: Path, address: str, message: str) -> None:
    url = address.format(mirror=mirror, breaking=breaking)
    with pytest.raises(MissingData, match=rf"{url} could not be fetched .*{message}.*another mirror"):
        fetch(url, tmp_path / "out" / "a", sha256(CONTENT))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://a/b", "a.bin", ""])
def test_only_http(tmp_path: Path, address: str) -> None:
    with pytest.raises(InvalidInput, match="expected one that begins with http"):
        fetch(address, tmp_path / "a", "0" * 64)


def test_a_data_set_is_fetched_once_and_repaired(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{number}.gz": sha256(bytes([number]) * 50) for number in range(4)}
    monkeypatch.setitem(DOWNLOADS, "set", Mirror("http://127.0.0.1:1/", files))  # type: ignore[arg-type]
    paths = fetch_dataset("set", folder=tmp_path / "data", url=f"{mirror}/set/")
    assert [gzip.decompress(path.read_bytes())[0] for path in paths] == [0, 1, 2, 3]
    assert fetch_dataset("set", folder=tmp_path / "data") == paths  # the dead mirror is not asked
    paths[2].write_bytes(b"damaged")
    assert fetch_dataset("set", folder=tmp_path / "data", url=f"{mirror}/set") == paths
    assert gzip.decompress(paths[2].read_bytes()) == b"\2" * 50


def test_what_can_not_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        fetch_dataset("mnis", folder=tmp_path)
    with pytest.raises(MissingData, match="no data folder"):
        fetch_dataset("mnist")
