#!/usr/bin/python3
"""Stands in for vLLM, SGLang, llama.cpp and torchrun: takes what the real program takes, and nothing else.

Which words a program takes is read from the lists in tests/support/engines, which were made from its documentation; it ends
with exit code 2 and a reason on anything else. The processes of a group really meet: the first one answers /health only
once all have. STAND_IN_RECORDS names a folder in which each leaves its command line and environment.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../engines")


class Wrong(Exception):
    """The real program would not have started."""


def programs():
    for name in sorted(os.listdir(LISTS)):
        with open(os.path.join(LISTS, name)) as file:
            yield from json.load(file)["programs"].items()


def isAddress(text):
    host, _, port = text.rpartition(":")
    return bool(host) and isPort(port)


def isPort(text):
    return text.isdigit() and 0 < int(text) < 65536


KINDS = {
    "text": lambda text: text != "",
    "number": str.isdigit,
    "port": isPort,
    "address": isAddress,
    "addresses": lambda text: all(map(isAddress, text.split(","))),
    "model folder": lambda path: os.path.exists(os.path.join(path, "config.json")),
    "model file": lambda path: path.endswith(".gguf") and os.path.isfile(path),
    "script": os.path.isfile,
}


def checkValue(name, kind, value):
    good = value in kind if isinstance(kind, list) else KINDS[kind](value)
    if not good:
        raise Wrong(f"argument {name}: {value!r} is no {kind}")


def parse(known, words):
    """The options, by name, and what follows a "..." of the positional arguments."""
    if words[:len(known["words"])] != known["words"]:
        raise Wrong(f"wanted {known['words']} first, got {words}")
    words, options, positional = words[len(known["words"]):], {}, list(known["positional"])
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            if not positional:
                raise Wrong(f"unrecognized arguments: {word}")
            checkValue(positional[0], positional[0], word)
            options[positional.pop(0)] = word
            if positional == ["..."]:
                return options, words
            continue
        name, equals, value = word.partition("=")
        kind = known["options"].get(name)
        if kind is None:
            raise Wrong(f"unrecognized arguments: {word}")
        if kind == "flag":
            if equals:
                raise Wrong(f"argument {name}: ignored explicit argument {value!r}")
            value = "true"
        elif not equals:
            if not words:
                raise Wrong(f"argument {name}: expected one argument")
            value = words.pop(0)
        if kind != "flag":
            checkValue(name, kind, value)
        options[name] = value
    if positional and positional != ["..."]:
        raise Wrong(f"the following arguments are required: {positional}")
    return options, []


def number(options, name, default):
    return int(options.get(name, default))


def visibleGpus():
    return list(filter(None, os.environ["CUDA_VISIBLE_DEVICES"].split(",")))


def checkShare(options, world, nodes):
    """Each process drives its share of the group's devices, and sees no other."""
    rank, devices = number(options, "--node-rank", 0), visibleGpus()
    if not devices:
        raise Wrong("no GPU is visible")
    if not rank < nodes:
        raise Wrong(f"node rank {rank} of {nodes} nodes")
    if world != nodes * len(devices):
        raise Wrong(f"{world} ranks on {nodes} nodes, and {len(devices)} devices are visible here")
    return rank


def meetAtHead(rank, nodes, host, port):
    """The first one waits for the others where they have been told to come."""
    if nodes == 1:
        return
    if rank == 0:
        with socket.create_server((host, port)) as door:
            guests = [door.accept()[0] for _ in range(nodes - 1)]
            for guest in guests:
                guest.sendall(b"all are here\n")
        return
    while True:
        try:
            with socket.create_connection((host, port), timeout=60) as head:
                if head.recv(100) == b"all are here\n":
                    return
        except ConnectionRefusedError:
            threading.Event().wait(0.02)  # as torch's store does


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = ""

    def log_message(self, *_):
        pass

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.send(200, {"status": "ok"}) if self.path == "/health" else self.send(404, {})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] != self.model:
            return self.send(404, {"error": {"message": f"no model {asked['model']}"}})
        message = {"role": "assistant", "content": "a stand-in speaks"}
        self.send(200, {"id": "x", "object": "chat.completion", "created": 0, "model": self.model,
                        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                        "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}})


def serve(options, model):
    Handler.model = model
    server = ThreadingHTTPServer((options["--host"], int(options["--port"])), Handler)
    server.daemon_threads = True
    server.serve_forever(poll_interval=0.02)


def runVllm(options, _):
    nodes = number(options, "--nnodes", 1)
    world = number(options, "--tensor-parallel-size", 1) * number(options, "--pipeline-parallel-size", 1)
    rank = checkShare(options, world, nodes)
    if ("--headless" in options) != (rank > 0):
        raise Wrong(f"headless, or not, as node {rank}")
    if nodes > 1 and options.get("--distributed-executor-backend") != "mp":
        raise Wrong("several nodes without Ray want --distributed-executor-backend mp")
    meetAtHead(rank, nodes, options.get("--master-addr"), number(options, "--master-port", 29501))
    signal.pause() if rank else serve(options, options["--served-model-name"])


def runSglang(options, _):
    nodes = number(options, "--nnodes", 1)
    rank = checkShare(options, number(options, "--tp-size", 1) * number(options, "--pp-size", 1), nodes)
    host, _, port = options.get("--dist-init-addr", "none:0").rpartition(":")
    meetAtHead(rank, nodes, host, int(port))
    signal.pause() if rank else serve(options, options["--served-model-name"])


def runLlamaServer(options, _):
    for address in filter(None, options.get("--rpc", "").split(",")):
        host, port = address.rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=10).close()  # the real one gives up, too
    serve(options, options["--alias"])


def runRpcServer(options, _):
    with socket.create_server((options["--host"], int(options["--port"]))) as door:
        while True:
            door.accept()[0].close()


def runTorchrun(options, words):
    nodes, local = int(options["--nnodes"]), int(options["--nproc-per-node"])
    # On CPUs it sees no GPU and starts what it is told to.
    rank = checkShare(options, nodes * local, nodes) if visibleGpus() else number(options, "--node-rank", 0)
    meetAtHead(rank, nodes, options["--master-addr"], int(options["--master-port"]))
    names = {"WORLD_SIZE": str(nodes * local), "LOCAL_WORLD_SIZE": str(local),
             "MASTER_ADDR": options["--master-addr"], "MASTER_PORT": options["--master-port"]}
    children = [subprocess.Popen([sys.executable, options["script"], *words], env={
        **os.environ, **names, "RANK": str(rank * local + i), "LOCAL_RANK": str(i)}) for i in range(local)]
    signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
    sys.exit(max(abs(child.wait()) for child in children))


RUN = {"vllm": runVllm, "sglang.launch_server": runSglang, "llama-server": runLlamaServer, "rpc-server": runRpcServer,
       "torchrun": runTorchrun}


def record(name, words):
    folder = os.environ.get("STAND_IN_RECORDS")
    if folder is None:
        return
    place = "-".join(os.environ[key] for key in ("MUSTER_DEPLOYMENT", "MUSTER_REPLICA", "MUSTER_RANK"))
    with open(os.path.join(folder, place + ".json"), "w") as file:
        json.dump({"program": name, "words": words, "env": dict(os.environ)}, file)


def main(name, words):
    known = dict(programs())[name]
    record(name, words)
    try:
        options, rest = parse(known, list(words))
        missing = [variable for variable in known["environment"] if variable not in os.environ]
        if missing:
            raise Wrong(f"not in the environment: {missing}")
        RUN[name](options, rest)
    except Wrong as wrong:
        print(f"{name}: error: {wrong}", file=sys.stderr, flush=True)
        sys.exit(2)


if __name__ == "__main__":
    main(os.path.basename(sys.argv[0]), sys.argv[1:])
