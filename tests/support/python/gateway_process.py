"""A real muster-gateway on its own: its routes come from a kept view, and no coordinator answers."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

from local_cluster import BIN, TEST_BIN
from waiting import waitFor

CLUSTER = "test"
HISTORY = "1-00000000000000110000000000000022"
DEADLINES = {"connect": "300ms", "first_byte": "800ms", "between_bytes": "800ms", "request": "2500ms"}


def route(deployment, replica, address, **changed):
    """(id, object) of a ready replica's route."""
    given = {"deployment": deployment, "model": deployment, "aliases": [], "generation": 1,
             "node": "w1", "address": address, "weight": 1, "state": "Ready", "message": "", "progress": 1.0}
    return f"default/{deployment}/{replica}", {**given, **changed}


def routesTo(backends, deployment="chat", **changed):
    return [route(deployment, i, one if isinstance(one, str) else one.address, **changed)
            for i, one in enumerate(backends)]


def closedPort():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Answer:
    def __init__(self, status, headers, body, ended):
        self.status, self.headers, self.body, self.ended = status, headers, body, ended

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["error"]["code"]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body!r} ended={self.ended}"


class GatewayProcess:
    """`with GatewayProcess(routes) as gateway:` starts one; at the end it is gone."""

    def __init__(self, routes, coordinators=None, deadlines=DEADLINES, balance="round_robin", threads=1):
        self.root = tempfile.mkdtemp(prefix="muster-gw-")
        self.data = os.path.join(self.root, "data")
        self.pki = os.path.join(self.root, "pki")
        os.makedirs(self.data)
        os.makedirs(self.pki)
        subprocess.run([os.path.join(TEST_BIN, "muster-make-pki"), self.pki, CLUSTER, "gateway/gw1", "worker/w1",
                        "worker/w2", "coordinator/co1", "viewer/anna"], check=True)
        if routes is not None:
            self.keepView(routes)
        self.config = os.path.join(self.root, "gateway.toml")
        self.log = os.path.join(self.root, "gateway.log")
        self.writeConfig(coordinators or [f"127.0.0.1:{closedPort()}"], deadlines, balance, threads)
        self.child, self.port = None, 0

    def keepView(self, routes, index=5):
        with open(os.path.join(self.data, "view.json"), "w") as file:
            json.dump({"version": 1, "history": HISTORY, "index": index,
                       "items": [{"kind": "route", "id": id, "object": one} for id, one in routes]}, file)

    def writeConfig(self, coordinators, deadlines, balance, threads):
        lines = [f'cluster = "{CLUSTER}"', 'id = "gw1"', f"coordinators = {json.dumps(coordinators)}",
                 f'data_dir = "{self.data}"', "[http]", 'listen = "127.0.0.1:0"', f"threads = {threads}", "[deadlines]",
                 *(f'{key} = "{value}"' for key, value in deadlines.items()), "[balance]", f'policy = "{balance}"',
                 "[tls]", f'ca = "{self.pki}/ca.crt"',
                 f'certificate = "{self.pki}/gateway-gw1.crt"', f'key = "{self.pki}/gateway-gw1.key"']
        with open(self.config, "w") as file:
            file.write("\n".join(lines) + "\n")

    def tls(self, identity):
        """A server's context with a certificate of the cluster that asks for the gateway's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.pki}/{identity}.crt", f"{self.pki}/{identity}.key")
        context.load_verify_locations(f"{self.pki}/ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def start(self):
        start = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([os.path.join(BIN, "muster-gateway"), "--config", self.config], stderr=log)

        def ready():
            if self.child.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.child.returncode}: {self.logText()}")
            return re.search(r"\bready\b.*?127\.0\.0\.1:(\d+)", self.logText()[start:])

        self.port = int(waitFor("the gateway is ready", ready).group(1))
        waitFor("it has a view", lambda: self.get("/readyz").status == 200)
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is not None:
            print(self.logText())
        if self.child and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def logText(self):
        with open(self.log) as file:
            return file.read()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(60)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, connection, method, path, body=None, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(data)}", *headers]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def ask(self, method, path, body=None, headers=()):
        with self.connect() as connection:
            self.send(connection, method, path, body, headers)
            return readAnswer(connection)

    def get(self, path):
        return self.ask("GET", path)

    def complete(self, model="chat", **fields):
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
        return self.ask("POST", "/v1/chat/completions", body)

    def metric(self, name, **labels):
        """The value of a metric, summed over the series that have these labels."""
        total = 0.0
        for line in self.get("/metrics").body.decode().split("\n"):
            has = all(f'{key}="{value}"' in line for key, value in labels.items())
            if re.match(rf"{name}[{{ ]", line) and has:
                total += float(line.split()[-1])
        return total


def readAnswer(connection):
    """One answer, and whether it ended as its head promised."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    headers = {}
    while (line := file.readline().strip()):
        name, value = line.decode().split(":", 1)
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") != "chunked":
        length = int(headers.get("content-length", 0))
        body = file.read(length)
        return Answer(status, headers, body, len(body) == length)
    body, ended = b"", False
    while (line := file.readline()):
        size = int(line, 16)
        body += file.read(size)
        file.readline()
        if size == 0:
            ended = True
            break
    return Answer(status, headers, body, ended)
