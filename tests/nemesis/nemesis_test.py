#!/usr/bin/python3
"""Faults on real processes in seeded random order, while clients keep histories that must be linearizable.

Usage: nemesis_test.py [--faults N] [--seed S] [--only KIND,...] [--keep] [--coordinator PROGRAM --find]
Needs root: every host is a network namespace. Prints each fault with what clients felt of it; after a failure, or with
--keep, logs and histories stay in a folder that is named. The seed fixes kinds, lengths and victims; what happens
meanwhile is up to the machine. --find: passes when the checkers find something; for a coordinator with a bug planted in it.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from cluster import COORDINATORS, Cluster
from facts import Skip, check, checkEqual, runTests
from faults import KINDS
from histories import Clients, judge, lostWrites, problemsOf, unsure
from hosts import enter
from local_cluster import BIN, rankPids
from processes import startTime
from waiting import CommandFailed, Late, waitFor

RECOVERY_S = 30  # the longest that anything may wait after a fault is over
LOG_LINES = 40
PAIR_EVERY = 4
PLANTED_SIGNS = re.compile("is not linearizable|does not hold|went back")


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

    def strike(self, number, kinds):
        """One fault, or two at once; ended in any order."""
        self.cluster.keepRoom()
        chance = random.Random(f"{ARGUMENTS.seed} {number}")  # what one fault draws changes no other
        ranks = rankPids(self.cluster.get("ranks"))
        before, faults, held = time.monotonic_ns(), [], 0
        for kind in kinds:
            faults.append(kind.run(self.cluster, chance))
            seconds = chance.uniform(*kind.hold)
            # A fault lasts for a time, there is no condition to wait for.
            time.sleep(seconds)
            held += seconds
        for fault in chance.sample(faults, len(faults)):
            fault.undo()
        over = time.monotonic_ns()
        name = " + ".join(kind.name for kind in kinds)
        moves = any(kind.moves for kind in kinds)
        self.recover(name, moves, over, {id for fault in faults for id in fault.ended})
        back = time.monotonic_ns()
        if not moves:
            self.lookAtRanks(name, ranks)
        writes, slowest = self.clients.longestGap(before, back)
        self.felt.append(Felt(name if len(kinds) == 1 else "two at once", writes, slowest))
        print(f"{number:4} {(before - self.start) / 1e9:7.1f} s  {name}: {', '.join(fault.text for fault in faults)}: "
              f"{held:.1f} s; no write for {writes:.3f} s, slowest client {slowest:.3f} s; "
              f"settled {(back - over) / 1e9:.1f} s after", flush=True)

    def restartEnded(self, may):
        """What ended without leave is a bug; it is started again all the same."""
        for id, daemon in self.cluster.daemons.items():
            if daemon.runs():
                continue
            if id not in may:
                self.complain(f"{id} ended by itself with code {daemon.process.returncode}")
            daemon.start()

    def recover(self, name, moves, over, may):
        def recovered():
            self.restartEnded(may)
            return self.clients.answeredSince(over) and self.cluster.settled()

        try:
            waitFor("every client is answered and every coordinator stands where it should", recovered,
                    patience=RECOVERY_S, details=lambda: repr(self.cluster.cli("admin", "status", "-o", "json")))
            if moves:
                self.cluster.awaitReady()
        except Late as late:
            self.complain(f"after {name}: {late}")
        for id in self.clients.crashed():
            self.complain(f"client {id} ended")

    def lookAtRanks(self, name, before):
        dead = [key for key, (pid, born) in before.items() if startTime(pid) != born]
        if dead:
            self.complain(f"{name} cost the ranks {dead}")
        else:
            now = rankPids(self.cluster.get("ranks"))
            if now != before:
                self.complain(f"{name} changed the ranks from {before} to {now}")

    def finish(self):
        """Faults are over: one state everywhere, and nothing that was promised is missing."""
        self.cluster.awaitReady()
        lines = self.clients.end()
        status = self.cluster.awaitOneIndex()
        hashes = {row["state_hash"] for row in status["coordinators"]}
        if len(hashes) != 1 or None in hashes:
            self.complain(f"state hashes differ: {status}")
        for problem in problemsOf(self.clients):
            self.complain(problem)
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
        print(f"{len(self.felt)} faults in {(time.monotonic_ns() - self.start) / 1e9:.0f} s; {len(acknowledged)} "
              f"acknowledged writes, {len(unsure(lines))} calls without a sure answer, {len(self.problems)} problems")
        for line in unsure(lines):
            took = (line["gave_up_ns"] - line["invoked_ns"]) / 1e9
            print(f"  client {line['client']} {line['kind']} after {took:.3f} s: {line['refusal']}")
        print(f"{'kind':28} count   no write for: min     p50     p99   slowest client: p50     p99")
        for name in sorted({one.kind for one in self.felt}):
            writes, slowest = zip(*((one.writes, one.slowest) for one in self.felt if one.kind == name))
            print(f"{name:28} {len(writes):5} {min(writes):19.3f} {rank(writes, 50):7.3f} {rank(writes, 99):7.3f} "
                  f"{rank(slowest, 50):20.3f} {rank(slowest, 99):7.3f}")


def rank(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def deck(chance):
    """Every kind once before any comes again; some come in company."""
    only, count = ARGUMENTS.only.split(","), ARGUMENTS.faults
    kinds = [kind for kind in KINDS if not ARGUMENTS.only or kind.name in only]
    check(kinds, f"no such kind; there are {' '.join(sorted({kind.name for kind in KINDS}))}")
    drawn = []
    while len(drawn) < count:
        drawn += [[kind] for kind in chance.sample(kinds, len(kinds))]
    for i in range(PAIR_EVERY - 1, count, PAIR_EVERY):
        others = [kind for kind in kinds if kind.pairs and kind.name != drawn[i][0].name]
        if others and drawn[i][0].pairs:
            drawn[i].append(chance.choice(others))
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
    parser.add_argument("--coordinator", default=os.path.join(BIN, "muster-coordinator"))
    parser.add_argument("--find", action="store_true")
    return parser.parse_args()


ARGUMENTS = options()


def test_nothingAcknowledgedIsLostWhateverFails():
    if os.getuid() != 0:
        raise Skip("only root can make network namespaces")
    print(f"seed {ARGUMENTS.seed}", flush=True)
    root = tempfile.mkdtemp(prefix="muster-nm-", dir=os.environ.get("MUSTER_TEST_DIR"))
    cluster, good = None, False
    try:
        cluster = Cluster(root, os.path.abspath(ARGUMENTS.coordinator))
        cluster.start()
        clients = Clients(cluster)
        waitFor("every client was answered", lambda: clients.answeredSince(0))
        nemesis = Nemesis(cluster, clients)
        for number, kinds in enumerate(deck(random.Random(ARGUMENTS.seed)), 1):
            nemesis.strike(number, kinds)
        nemesis.show(nemesis.finish())
        if ARGUMENTS.find:
            check(any(PLANTED_SIGNS.search(problem) for problem in nemesis.problems), "nothing was found")
        else:
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
