"""A web server for a folder that can be told to fail, as storage does.

S3's own protocol reads objects in the same way: with `AWS_ENDPOINT_URL` set to its `url`, `s3://BUCKET/KEY` is the file BUCKET/KEY
of the folder.
"""

import base64
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Fault:
    """What goes wrong with requests whose path ends with `name`.

    times: so many requests, then no more; None: all.
    status: answered instead of the file. hang: no answer at all. rate: of the body, bytes a second.
    reset: the connection breaks (RST) after so many bytes of the body. close: it ends without a word after so many.
    cut: the file has only so many bytes. flip: this byte of the file has its bits turned over. whole: ranges are ignored.
    shift: the answer begins so many bytes later than asked for.
    """

    name: str = ""
    times: int | None = None
    status: int = 0
    hang: bool = False
    rate: float = 0
    reset: int | None = None
    close: int | None = None
    cut: int | None = None
    flip: int | None = None
    whole: bool = False
    shift: int = 0


class FolderServer:
    """See `serve`. Everything may be changed while it runs.

    url: of the folder. faults: the first one that applies is used. latency: seconds before each answer.
    login: (user, password) that requests must bring. requests: (path, first byte, last byte) of each, −1 without a range.
    most: requests that were under way at once, at most.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.latency = 0.0
        self.login: tuple[str, str] | None = None
        self.requests: list[tuple[str, int, int]] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="folder-server")
        self._thread.start()

    def asked(self, name: str) -> int:
        """Requests for files whose name ends with this."""
        return sum(path.endswith(name) for path, _, _ in self.requests)

    def fault(self, path: str) -> Fault:
        with self._lock:
            for fault in self.faults:
                if path.endswith(fault.name) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return Fault()

    def sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    @contextmanager
    def counted(self, path: str, first: int, last: int) -> Iterator[None]:
        with self._lock:
            self.requests.append((path, first, last))
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def serve(folder: Path) -> Iterator[FolderServer]:
    """The files of a folder over HTTP/1.1 with ranges, and without listings."""
    server = FolderServer(folder)
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: FolderServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        owner = self.server.owner
        path = urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/")
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (-1, -1)
        with owner.counted(path, first, last):
            owner.sleep(owner.latency)
            fault = owner.fault(path)
            if fault.hang:
                owner.sleep(3600)
                self._break(rst=True)
            elif owner.login and self.headers.get("Authorization") != _basic(*owner.login):
                self._answer(401)
            elif fault.status:
                self._answer(fault.status)
            else:
                self._file(owner.folder / path, first, last, fault)

    def do_HEAD(self) -> None:
        self.do_GET()  # without the body: see _body

    def _file(self, path: Path, first: int, last: int, fault: Fault) -> None:
        try:
            data = bytearray(path.read_bytes()[: fault.cut])
        except OSError:
            self._answer(404)
            return
        if fault.flip is not None:
            data[fault.flip] ^= 0xFF
        if first < 0 or fault.whole:
            self._body(200, data, {}, fault)
        elif first >= len(data):
            self._answer(416, {"Content-Range": f"bytes */{len(data)}"})
        else:
            first, last = first + fault.shift, min(last + fault.shift, len(data) - 1)
            self._body(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, fault)

    def _body(self, status: int, data: bytes | bytearray, headers: dict[str, str], fault: Fault) -> None:
        self._head(status, len(data), headers)
        if self.command == "HEAD":
            return
        if fault.rate:
            step = max(1, int(fault.rate / 20))
            for at in range(0, len(data), step):
                self.wfile.write(data[at : at + step])
                self.server.owner.sleep(step / fault.rate)
            return
        end = min((n for n in (fault.reset, fault.close) if n is not None), default=None)
        self.wfile.write(data[:end])
        if end is not None and end < len(data):
            self.wfile.flush()
            time.sleep(0.02)  # what was sent is on its way before the connection breaks
            self._break(rst=fault.reset is not None)

    def _answer(self, status: int, headers: dict[str, str] = {}) -> None:  # noqa: B006
        self._head(status, 0, headers)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _break(self, rst: bool) -> None:
        self.close_connection = True
        with suppress(OSError):
            if rst:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
