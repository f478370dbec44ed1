#!/usr/bin/python3
"""A small OpenAI server as a program of the process engine: it serves on loopback, where MUSTER_PORT says.

Answers name the replica and the process. `"slow": seconds` in a request makes it take so long; a stream has ten events.
On SIGTERM it takes no more connections, lets running requests end, and leaves.
"""
import json
import os
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

busy, leaving = 0, False
lock = threading.Lock()


def counted(by):
    global busy
    with lock:
        busy += by


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if leaving:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send(200 if self.path == "/health" else 404, "text/plain", b"ok\n")

    def do_POST(self):
        counted(1)
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(asked.get("slow", 0))
            self.stream(asked) if asked.get("stream") else self.whole(asked)
        finally:
            counted(-1)

    def about(self, asked):
        return {"model": asked["model"], "replica": int(os.environ["MUSTER_REPLICA"]),
                "generation": int(os.environ["MUSTER_GENERATION"]), "pid": os.getpid(), "id": "x", "created": 0}

    def whole(self, asked):
        message = {"role": "assistant", "content": "the sea is wide"}
        body = {**self.about(asked), "object": "chat.completion",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}}
        self.send(200, "application/json", json.dumps(body).encode())

    def stream(self, asked):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(10):
            self.event({**self.about(asked), "object": "chat.completion.chunk",
                        "choices": [{"index": 0, "delta": {"content": f"word{i} "}, "finish_reason": None}]})
            time.sleep(asked.get("pause", 0.01))
        self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, what):
        self.chunk(b"data: " + json.dumps(what).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True


def main():
    server = Server(("127.0.0.1", int(os.environ["MUSTER_PORT"])), Handler)

    def leave(*_):
        global leaving
        leaving = True
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    print("stand-in server is ready", flush=True)
    server.serve_forever(poll_interval=0.02)
    server.server_close()
    end = time.monotonic() + 60
    while busy and time.monotonic() < end:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
