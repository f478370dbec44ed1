#!/usr/bin/python3
"""The faults of the network do what they say, seen by two hosts that talk to each other."""
import os
import subprocess
import sys

from facts import Skip, check, checkEqual, runTests
from hosts import Network, enter
from waiting import waitFor

ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while data := self.request.recv(100):
                self.request.sendall(data)
        except OSError:
            pass
socketserver.ThreadingTCPServer(("", 7), Echo).serve_forever()
"""
# Prints for each line it reads: the milliseconds until its echo came, or the error.
ASK = """
import socket, sys, time
link = socket.create_connection((sys.argv[1], 7), timeout=5)
link.settimeout(float(sys.argv[2]))
print("connected", flush=True)
for line in sys.stdin:
    start = time.monotonic()
    try:
        link.sendall(line.encode())
        answer = link.recv(100)
        print("closed" if not answer else int((time.monotonic() - start) * 1000), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""
RESET = "tcp flags & rst == 0 reject with tcp reset"
NETWORK = []


class Asker:
    """A connection from host a to the echo on host b."""

    def __init__(self, patience=0.3):
        argv = NETWORK[0]["a"].argv([sys.executable, "-c", ASK, NETWORK[0]["b"].address, patience])
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        self.connected = self.process.stdout.readline() == "connected\n"

    def ask(self):
        self.process.stdin.write("x\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        return int(answer) if answer.isdigit() else answer

    def end(self):
        self.process.communicate()


def connected(**options):
    asker = Asker(**options)
    return asker if asker.connected else asker.end()


def needsRoot():
    if os.getuid() != 0:
        raise Skip("only root can make network namespaces")
    if not NETWORK:
        NETWORK.append(Network(["a", "b"]))
        subprocess.Popen(NETWORK[0]["b"].argv([sys.executable, "-c", ECHO]))
    asker = waitFor("the echo answers", connected)
    check(asker.ask() < 300, "an echo without faults is slow")
    return asker


def drop(of):
    return [f"ip saddr {NETWORK[0][of].address} drop"]


def test_aCutStopsConnectionsAndItsEndLetsThemGoOn():
    asker = needsRoot()
    NETWORK[0]["b"].setRules("cut", drop("a"))
    checkEqual(asker.ask(), "TimeoutError", "an echo through a cut")
    NETWORK[0]["b"].setRules("cut")
    waitFor("the echo comes again", lambda: isinstance(asker.ask(), int))
    asker.end()


def test_aCutOfOneWayStopsWhatComesFromThere():
    asker = needsRoot()
    NETWORK[0]["a"].setRules("cut", drop("b"))
    checkEqual(asker.ask(), "TimeoutError", "an echo whose answer is cut off")
    NETWORK[0]["a"].setRules("cut")
    asker.end()


def test_aResetEndsAConnectionAtOnce():
    asker = needsRoot()
    NETWORK[0]["b"].setRules("reset", [RESET])
    checkEqual(asker.ask(), "ConnectionResetError", "an echo on a connection that is reset")
    NETWORK[0]["b"].setRules("reset")
    asker.end()


def test_lossLosesPackets():
    needsRoot().end()
    NETWORK[0]["b"].setRules("loss", ["numgen random mod 100 < 50 drop"])
    asker = waitFor("a connection is made in spite of the loss", lambda: connected(patience=20))
    took = [asker.ask() for _ in range(30)]
    NETWORK[0]["b"].setRules("loss")
    check(any(one == "TimeoutError" or one > 150 for one in took), f"nothing was sent again: {took}")
    asker.end()


def test_aDelayDelaysOneWayAndKeepsConnections():
    asker = needsRoot()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "slow_link.py")
    relay = subprocess.Popen(NETWORK[0]["b"].argv([sys.executable, "-B", script, 100, 0, 1]), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    checkEqual(relay.stdout.readline(), b"ready\n", "the word of slow_link.py")
    took = [asker.ask() for _ in range(3)]
    check(all(100 <= one < 200 for one in took), f"echos with 100 ms of delay on one way took {took} ms")
    relay.communicate(timeout=10)
    waitFor("the delay is gone", lambda: asker.ask() < 100)
    asker.end()


if __name__ == "__main__":
    if os.getuid() == 0:
        enter()
    runTests("Hosts", dict(globals()))
