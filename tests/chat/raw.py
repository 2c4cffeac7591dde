"""A client made of a bare socket."""

import json
import socket
import struct
from urllib.parse import urlsplit

from tests.server import User


class RawReader:
    """Somebody who asks by hand, and can leave as no decent client would."""

    def __init__(self, user: User, model: str, *, window: int | None = None) -> None:
        address = urlsplit(user.server.base_url)
        assert address.hostname is not None
        assert address.port is not None
        self.link = socket.socket()
        if window is not None:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.link.settimeout(120)
        self.link.connect((address.hostname, address.port))
        self.ask(user, model)

    def ask(self, user: User, model: str) -> None:
        """Send a question, whether or not the last one has been answered."""
        address = urlsplit(user.server.base_url)
        body = json.dumps({"message": "Hi", "provider": "custom", "model": model}).encode()
        head = (
            f"POST /api/chat/stream HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        )
        head += f"Authorization: Bearer {user.access}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.link.sendall(head.encode() + body)

    def read_until(self, text: str) -> str:
        """Read on until `text` has come, and return what came since the last call."""
        said = b""
        while text.encode() not in said:
            data = self.link.recv(4096)
            assert data, said
            said += data
        return said.decode(errors="replace")

    def leave(self, how: str) -> None:
        if how == "half-close":
            self.link.shutdown(socket.SHUT_WR)
            while self.link.recv(65536):
                pass
        if how == "rst":
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()
