"""A TCP proxy before a server, which cuts a connection at the moment that a test chooses."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum


class Cut(Enum):
    """When the connection ends: the next request is never sent, never answered, or answered to nobody."""

    UNSENT = "unsent"
    SENT = "sent"
    ANSWERED = "answered"


class Proxy:
    """Forwards to a local port. ``cut`` is done once, to the next connection on which a request comes.

    While ``through`` is cleared, new connections are not passed on: ``came`` is set when one waits.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cut: Cut | None = None
        self.done = threading.Event()
        self.came = threading.Event()
        self.through = threading.Event()
        self.through.set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.through.set()
        for each in (self._listening, *self._open):
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.came.set()
            self.through.wait()
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _end(client)  # the server is away, and the next one who comes may find it
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            swallow = threading.Event()
            for work in (self._requests, self._answers):
                threading.Thread(target=work, args=(client, server, swallow), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, swallow: threading.Event) -> None:
        def forward(data: bytes) -> bool:
            cut, self.cut = self.cut, None
            if cut is Cut.ANSWERED:
                swallow.set()
            if cut is not Cut.UNSENT:
                server.sendall(data)
            return cut in (None, Cut.ANSWERED)

        self._pump(client, forward, client, server)

    def _answers(self, client: socket.socket, server: socket.socket, swallow: threading.Event) -> None:
        def forward(data: bytes) -> bool:
            if swallow.is_set():
                return False
            client.sendall(data)
            return True

        self._pump(server, forward, client, server)

    def _pump(self, source: socket.socket, forward: Callable[[bytes], bool], *both: socket.socket) -> None:
        try:
            while data := source.recv(1 << 20):
                if not forward(data):
                    for each in both:
                        _end(each)
                    self.done.set()
                    return
        except OSError:
            pass
        for each in both:
            _end(each)


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
