"""ZooKeeper's wire protocol, as much of it as it takes to look at a tree, and to damage it, with and without its password."""
import socket
import struct

DELETE, GET_DATA, SET_DATA, GET_ACL, GET_CHILDREN, SET_AUTH, CLOSE = 2, 4, 5, 6, 8, 100, -11
ANY_VERSION = struct.pack(">i", -1)
AUTH_XID = -4
NO_AUTH = -102
SESSION_MS = 10_000


def _buffer(data):
    return struct.pack(">i", len(data)) + data


class ZooKeeper:
    """One session; `digest` ("user:password") opens what is locked to it."""

    def __init__(self, address, digest=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.xid = 0
        self._send(struct.pack(">iqiq", 0, 0, SESSION_MS, 0) + _buffer(bytes(16)))
        self._receive()
        if digest is not None:
            self._send(struct.pack(">iii", AUTH_XID, SET_AUTH, 0) + _buffer(b"digest") + _buffer(digest.encode()))
            error = struct.unpack(">iqi", self._receive()[:16])[2]
            assert error == 0, f"ZooKeeper does not take the digest: error {error}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._send(struct.pack(">ii", self.xid + 1, CLOSE))
        self.socket.close()

    def children(self, path):
        """(error, names)"""
        error, body = self._ask(GET_CHILDREN, path, watch=True)
        names, at = [], 4
        for _ in range(struct.unpack(">i", body[:4])[0] if error == 0 else 0):
            length = struct.unpack(">i", body[at:at + 4])[0]
            names.append(body[at + 4:at + 4 + length].decode())
            at += 4 + length
        return error, names

    def data(self, path):
        """(error, bytes)"""
        error, body = self._ask(GET_DATA, path, watch=True)
        return error, body[4:4 + struct.unpack(">i", body[:4])[0]] if error == 0 else b""

    def set(self, path, data):
        self._change(SET_DATA, path, _buffer(data) + ANY_VERSION)

    def delete(self, path):
        self._change(DELETE, path, ANY_VERSION)

    def _change(self, operation, path, more):
        error, _ = self._exchange(operation, path, more)
        assert error == 0, f"ZooKeeper does not change {path}: error {error}"

    def tree(self, path):
        """A node and all below it. One that goes meanwhile is left out."""
        error, names = self.children(path)
        if error == 0:
            yield path
        for name in names:
            yield from self.tree(f"{path.rstrip('/')}/{name}")

    def _ask(self, operation, path, watch):
        return self._exchange(operation, path, b"\0" if watch else b"")

    def _exchange(self, operation, path, more):
        """(error, body) of a request: its path, then `more`."""
        self.xid += 1
        self._send(struct.pack(">ii", self.xid, operation) + _buffer(path.encode()) + more)
        while True:
            answer = self._receive()
            xid, _, error = struct.unpack(">iqi", answer[:16])
            if xid == self.xid:
                return error, answer[16:]

    def _send(self, message):
        self.socket.sendall(_buffer(message))

    def _receive(self):
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("ZooKeeper closed the connection")
            data += more
        return data
