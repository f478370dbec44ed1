"""What the clients did: started, followed while they work, and judged at the end."""
import json
import os
import signal
import subprocess

from cluster import CLIENTS, COORDINATORS, READERS, REGISTERS
from facts import checkEqual
from local_cluster import TEST_BIN

PATIENCE_S = 60
WRITES, WRITES_OF_READERS = 6, 0  # of ten operations
# What a client may be told when nobody can answer for sure: no leader, overloaded, store unreachable, outcome unknown.
UNSURE = ("E0701", "E0702", "E0703", "E0705", "E0709")


class Client:
    """One muster-history-client. `lines` are its answers so far, as dicts."""

    def __init__(self, cluster, id):
        self.id, self.path = id, cluster.path("histories", id + ".jsonl")
        open(self.path, "w").close()
        argv = [os.path.join(TEST_BIN, "muster-history-client"), cluster.path("context.toml"), id[1:], self.path, REGISTERS,
                WRITES_OF_READERS if id in READERS else WRITES]
        with open(cluster.path("logs", id + ".log"), "ab") as log:
            self.process = subprocess.Popen(cluster.network[id].argv(argv), stdout=log, stderr=log)
        self.file = open(self.path)
        self.lines, self.rest = [], ""

    def read(self):
        *whole, self.rest = (self.rest + self.file.read()).split("\n")
        self.lines += [json.loads(line) for line in whole]
        return self.lines


class Clients:
    def __init__(self, cluster):
        self.cluster = cluster
        self.all = [Client(cluster, id) for id in CLIENTS]

    def lines(self):
        return [line for client in self.all for line in client.read()]

    def answeredSince(self, when):
        """Whether every client was answered something that it asked after `when`."""
        return all(any(line["invoked_ns"] > when and "returned_ns" in line for line in reversed(client.read()[-50:]))
                   for client in self.all)

    def crashed(self):
        return [client.id for client in self.all if client.process.poll() is not None]

    def end(self):
        for client in self.all:
            client.process.send_signal(signal.SIGTERM)
        codes = {client.id: client.process.wait(timeout=PATIENCE_S) for client in self.all}
        checkEqual({id: code for id, code in codes.items() if code != 0}, {}, "exit codes of clients")
        return self.lines()

    def longestGap(self, since, until):
        """Seconds: the longest time in which no client had a write acknowledged, and the longest time in which one client
        had no answer at all."""
        writes = [line["returned_ns"] for line in self.lines() if line["kind"] == "apply" and "returned_ns" in line]
        each = [[line["returned_ns"] for line in client.lines if "returned_ns" in line] for client in self.all]
        return longest(writes, since, until), max(longest(times, since, until) for times in each)


def longest(times, since, until):
    """Of the pauses that end after `since` and begin before `until`, in seconds."""
    times = sorted(times)
    pauses = [after - before for before, after in zip(times, times[1:]) if after > since and before < until]
    return max(pauses, default=until - since) / 1e9


def unsure(lines):
    """The calls that nobody answered for sure."""
    return [line for line in lines if "refusal" in line and "returned_ns" not in line]


def problemsOf(clients):
    """What one client alone can tell: its indices and epochs never go back, and it is refused only what it asked wrongly."""
    for client in clients.all:
        for line in unsure(client.read()):
            if not line["refusal"].startswith(UNSURE):
                yield f"{client.id} was refused: {line['refusal']}"
        answers = [(line["index"], line["epoch"]) for line in client.read() if "index" in line]
        for before, after in zip(answers, answers[1:]):
            if after[0] < before[0] or after[1] < before[1]:
                yield f"{client.id} went back from index and epoch {before} to {after}"


def lostWrites(cluster, lines):
    """Acknowledged writes that a coordinator's audit does not hold at their index. The coordinators are stopped."""
    acknowledged = {line["request_id"]: line["index"] for line in lines if line["kind"] == "apply" and "request_id" in line}
    for id in COORDINATORS:
        kept = {row["request_id"]: row["index"] for row in cluster.store(id)}
        lost = [request for request, index in acknowledged.items() if kept.get(request) != index]
        if lost:
            yield f"{id} does not hold {len(lost)} of {len(acknowledged)} acknowledged writes, the first is {lost[0]}"


def judge(cluster):
    """(what the judge said, what is wrong with it or nothing)"""
    files = [cluster.path("histories", id + ".jsonl") for id in CLIENTS]
    done = subprocess.run([os.path.join(TEST_BIN, "muster-judge-history"), *files], capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    return said, said if done.returncode != 0 else None
