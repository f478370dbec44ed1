"""Model servers that behave as no server should, each in a thread: what a gateway must bear.

A backend answers completions well until its `mode` says otherwise:
  well       an answer, or a stream of `events` tokens when the request asks for one
  black_hole takes the request and never answers          slow_head   one byte of the head each 100 ms
  half_close ends its side as soon as the request came    reset       resets the connection when the request came
  busy       503 with Retry-After                         garbage     something that is no HTTP
  ambiguous  Content-Length and Transfer-Encoding         short       half of the promised body, then the end
  head_only  a head, and never a body                     error       500 with a JSON error
  stream_end / stream_reset / stream_stall                three events of a stream, then that
  end_kept   the first request of a connection is answered well; the second is taken and the connection ended
`hold` (seconds) makes a well answer wait, watching for the client's end meanwhile.
"""
import json
import select
import socket
import ssl
import struct
import threading
import time


def streamEvent(text, model="chat"):
    return "data: " + json.dumps({"object": "chat.completion.chunk", "model": model,
                                  "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}) + "\n\n"


class HostileBackend:
    def __init__(self, mode="well", events=3, pause=0.0, hold=0.0, tls=None):
        self.mode, self.events, self.pause, self.hold = mode, events, pause, hold
        self.requests, self.bodies, self.hangups, self.connections = 0, [], 0, 0
        self.names = []  # of the certificates that were shown, one per connection
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.scheme, self.context = "https" if tls else "http", tls
        self.stopped = False
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def stop(self):
        """Nobody listens any more; connections that are there go on."""
        self.stopped = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while not self.stopped:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                subject = dict(field for row in connection.getpeercert()["subject"] for field in row)
                self.names.append(subject["commonName"])
            self.connections += 1
            rest, first = b"", True
            while True:
                head, body, rest = self.readRequest(connection, rest)
                ends = self.mode == "end_kept" and not first
                if head is None or ends or not self.answer(connection, body):
                    return
                first = False
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def readRequest(self, connection, data):
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None, None, b""
            data += piece
        head, data = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(data) < length:
            data += connection.recv(65536)
        self.requests += 1
        self.bodies.append(data[:length])
        return head, data[:length], data[length:]

    def answer(self, connection, body):
        """True when the connection goes on."""
        return getattr(self, "answer_" + self.mode)(connection, body)

    def waitOut(self, connection, seconds):
        """False when the peer ended the connection meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select([connection], [], [], left)
            if readable and not connection.recv(65536):
                self.hangups += 1
                return False
        return True

    def answer_well(self, connection, body):
        if self.hold and not self.waitOut(connection, self.hold):
            return False
        asked = json.loads(body or b"{}")
        if not asked.get("stream"):
            text = json.dumps({"object": "chat.completion", "model": asked.get("model"), "port": self.port,
                               "choices": [{"index": 0, "finish_reason": "stop",
                                            "message": {"role": "assistant", "content": "hello"}}]}).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
                               len(text) + text)
            return True
        self.beginStream(connection)
        for i in range(self.events):
            if self.pause and not self.waitOut(connection, self.pause):
                return False
            self.chunk(connection, streamEvent(f"t{i} "))
        self.chunk(connection, "data: [DONE]\n\n")
        connection.sendall(b"0\r\n\r\n")
        return True

    def beginStream(self, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def chunk(self, connection, text):
        data = text.encode()
        connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def threeEvents(self, connection):
        self.beginStream(connection)
        for i in range(3):
            self.chunk(connection, streamEvent(f"t{i} "))

    answer_end_kept = answer_well

    def answer_black_hole(self, connection, body):
        self.waitOut(connection, 3600)
        return False

    def answer_slow_head(self, connection, body):
        for byte in b"HTTP/1.1 200 OK\r\n" * 100:
            connection.sendall(bytes([byte]))
            if not self.waitOut(connection, 0.1):
                return False
        return False

    def answer_half_close(self, connection, body):
        connection.shutdown(socket.SHUT_WR)
        self.waitOut(connection, 3600)
        return False

    def answer_reset(self, connection, body):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def answer_busy(self, connection, body):
        text = b'{"error":{"message":"full","type":"server_error","param":null,"code":"queue_full"}}'
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nRetry-After: 2\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(text) + text)
        return True

    def answer_error(self, connection, body):
        text = b'{"error":{"message":"boom","type":"server_error","param":null,"code":"engine"}}'
        connection.sendall(b"HTTP/1.1 500 Error\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
                           len(text) + text)
        return True

    def answer_garbage(self, connection, body):
        connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        return False

    def answer_ambiguous(self, connection, body):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        return False

    def answer_short(self, connection, body):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" +
                           b"{" * 50)
        return False

    def answer_head_only(self, connection, body):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n")
        self.waitOut(connection, 3600)
        return False

    def answer_stream_end(self, connection, body):
        self.threeEvents(connection)
        return False

    def answer_stream_reset(self, connection, body):
        self.threeEvents(connection)
        time.sleep(0.05)  # what was sent arrives before the reset
        return self.answer_reset(connection, body)

    def answer_stream_stall(self, connection, body):
        self.threeEvents(connection)
        self.waitOut(connection, 3600)
        return False
