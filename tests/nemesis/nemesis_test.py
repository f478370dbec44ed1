#!/usr/bin/python3
"""Faults on real processes in seeded random order, while clients keep histories that must be linearizable.

Usage: nemesis_test.py [--faults N] [--seed S] [--only KIND,...] [--keep]
Needs root: every host is a network namespace. Prints each fault with what clients felt of it; after a failure, or with
--keep, logs and histories stay in a folder that is named. The seed fixes kinds, lengths and victims; what happens
meanwhile is up to the machine.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

from cluster import COORDINATORS, Cluster
from facts import Skip, check, checkEqual, runTests
from faults import KINDS
from histories import Clients, judge, lostWrites, problemsOf
from hosts import enter
from local_cluster import rankPids
from processes import startTime
from waiting import CommandFailed, Late, waitFor

RECOVERY_S = 30  # the longest that anything may wait after a fault is over
LOG_LINES = 40


class Felt:
    """One fault, and what it did to the clients, in seconds."""

    def __init__(self, kind, writes, slowest):
        self.kind, self.writes, self.slowest = kind, writes, slowest


class Nemesis:
    def __init__(self, cluster, clients):
        self.cluster, self.clients = cluster, clients
        self.start = time.monotonic_ns()
        self.felt, self.problems = [], []

    def complain(self, text):
        self.problems.append(text)
        print(f"  PROBLEM: {text}", flush=True)

    def strike(self, number, kind):
        chance = random.Random(f"{ARGUMENTS.seed} {number}")  # what one fault draws changes no other
        ranks = rankPids(self.cluster.get("ranks"))
        before, hold = time.monotonic_ns(), chance.uniform(*kind.hold)
        fault = kind.run(self.cluster, chance)
        done = time.monotonic_ns()
        # A fault lasts for a time, there is no condition to wait for.
        time.sleep(hold)
        fault.undo()
        over = time.monotonic_ns()
        self.restartEnded(fault.ended)
        self.recover(kind, over)
        back = time.monotonic_ns()
        self.lookAtRanks(kind, ranks)
        writes, slowest = self.clients.longestGap(before, back)
        self.felt.append(Felt(kind.name, writes, slowest))
        print(f"{number:4} {(before - self.start) / 1e9:7.1f} s  {kind.name} {fault.text}: {(over - done) / 1e9:.1f} s; "
              f"no write for {writes:.3f} s, slowest client {slowest:.3f} s; settled {(back - over) / 1e9:.1f} s after",
              flush=True)

    def restartEnded(self, may):
        """What ended without leave is a bug; it is started again all the same."""
        for id, daemon in self.cluster.daemons.items():
            if daemon.runs():
                continue
            if id not in may:
                self.complain(f"{id} ended by itself with code {daemon.process.returncode}")
            daemon.start()

    def recover(self, kind, over):
        def recovered():
            self.restartEnded({kind.name})
            return self.clients.answeredSince(over) and self.cluster.settled()

        try:
            waitFor("every client is answered and every coordinator stands where it should", recovered,
                    patience=RECOVERY_S, details=lambda: repr(self.cluster.cli("admin", "status", "-o", "json")))
            if kind.moves:
                self.cluster.awaitReady()
        except Late as late:
            self.complain(f"after {kind.name}: {late}")
        for id in self.clients.crashed():
            self.complain(f"client {id} ended")

    def lookAtRanks(self, kind, before):
        if kind.moves:
            return
        dead = [key for key, (pid, born) in before.items() if startTime(pid) != born]
        if dead:
            self.complain(f"{kind.name} cost the ranks {dead}")
        else:
            now = rankPids(self.cluster.get("ranks"))
            if now != before:
                self.complain(f"{kind.name} changed the ranks from {before} to {now}")

    def finish(self):
        """Faults are over: one state everywhere, and nothing that was promised is missing."""
        self.cluster.awaitReady()
        lines = self.clients.end()
        status = self.cluster.awaitOneIndex()
        hashes = {row["state_hash"] for row in status["coordinators"]}
        if len(hashes) != 1 or None in hashes:
            self.complain(f"state hashes differ: {status}")
        self.problems += problemsOf(self.clients)
        said, wrong = judge(self.cluster)
        print(said)
        if wrong:
            self.complain(wrong)
        self.cluster.stop(COORDINATORS)
        for problem in lostWrites(self.cluster, lines):
            self.complain(problem)
        return lines

    def show(self, lines):
        acknowledged = [line for line in lines if line["kind"] == "apply" and "request_id" in line]
        unknown = [line for line in lines if "refusal" in line and "returned_ns" not in line]
        print(f"{len(self.felt)} faults in {(time.monotonic_ns() - self.start) / 1e9:.0f} s; {len(acknowledged)} "
              f"acknowledged writes, {len(unknown)} calls without a sure answer, {len(self.problems)} problems")
        print(f"{'kind':28} count   no write for: min     p50     p99   slowest client: p50     p99")
        for name in sorted({one.kind for one in self.felt}):
            writes, slowest = zip(*((one.writes, one.slowest) for one in self.felt if one.kind == name))
            print(f"{name:28} {len(writes):5} {min(writes):19.3f} {rank(writes, 50):7.3f} {rank(writes, 99):7.3f} "
                  f"{rank(slowest, 50):20.3f} {rank(slowest, 99):7.3f}")


def rank(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def deck(chance):
    """Every kind once before any comes again."""
    only, count = ARGUMENTS.only.split(","), ARGUMENTS.faults
    kinds = [kind for kind in KINDS if not ARGUMENTS.only or kind.name in only]
    check(kinds, f"no such kind; there are {' '.join(sorted({kind.name for kind in KINDS}))}")
    drawn = []
    while len(drawn) < count:
        drawn += chance.sample(kinds, len(kinds))
    return drawn[:count]


def printLogs(cluster):
    for name in sorted(os.listdir(cluster.path("logs"))):
        with open(cluster.path("logs", name), errors="replace") as file:
            print(f"--- {name}\n{''.join(file.readlines()[-LOG_LINES:])}", flush=True)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=int, default=int(os.environ.get("MUSTER_NEMESIS_FAULTS", "40")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_NEMESIS_SEED", "1")))
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args()


ARGUMENTS = options()


def test_nothingAcknowledgedIsLostWhateverFails():
    if os.getuid() != 0:
        raise Skip("only root can make network namespaces")
    print(f"seed {ARGUMENTS.seed}", flush=True)
    root = tempfile.mkdtemp(prefix="muster-nm-", dir=os.environ.get("MUSTER_TEST_DIR"))
    cluster, good = None, False
    try:
        cluster = Cluster(root)
        cluster.start()
        clients = Clients(cluster)
        waitFor("every client was answered", lambda: clients.answeredSince(0))
        nemesis = Nemesis(cluster, clients)
        for number, kind in enumerate(deck(random.Random(ARGUMENTS.seed)), 1):
            nemesis.strike(number, kind)
        nemesis.show(nemesis.finish())
        checkEqual(nemesis.problems, [], "problems")
        good = True
    finally:
        if not good and cluster:
            printLogs(cluster)
        if good and not ARGUMENTS.keep:
            leave(cluster)
        else:
            print(f"seed {ARGUMENTS.seed}; logs and histories are in {root}", flush=True)


def leave(cluster):
    for daemon in cluster.daemons.values():
        if daemon.runs():
            daemon.kill()
    for id in COORDINATORS:
        subprocess.run(["umount", "--lazy", cluster.path(id, "store")], check=True)
    shutil.rmtree(cluster.root)


if __name__ == "__main__":
    if os.getuid() == 0:
        enter()
    sys.argv[1:] = []  # ours, not names of tests
    runTests("Nemesis", {"test_nothingAcknowledgedIsLostWhateverFails": test_nothingAcknowledgedIsLostWhateverFails})
