#!/usr/bin/python3
"""Ports that are taken and disks that are full."""
import os
import re
import shutil
import socket
import subprocess
import sys

from facts import Skip, check, checkEqual, runTests
from local_cluster import Answer, LocalCluster, rankPids
from sample import deployment, makeSmallModel, sleeper

OWN_MOUNTS = "MUSTER_TEST_OWN_MOUNTS"


def checkSays(answer, code, *texts):
    check(answer.code == 1, f"wanted exit 1: {answer}")
    check(re.search(rf"^error\[{code}\]: ", answer.err, re.M), f"wanted error[{code}]: {answer}")
    for text in texts:
        check(text in answer.err, f"it does not say {text!r}: {answer}")


def occupy(address):
    host, port = address.rsplit(":", 1)
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind((host, int(port)))
    taken.listen()
    return taken


def test_upNamesThePortThatSomebodyTook():
    with LocalCluster(workers=1) as cluster:
        addresses = {one["id"]: one["addresses"] for one in cluster.file()["processes"]}
        cluster.down()
        for address in (addresses["co2"]["rpc"], addresses["zk1"]["client"]):
            with occupy(address):
                checkSays(cluster.cli("up", "--detach", "--dir", cluster.dir), "E0706", address)
        cluster.up()
        checkEqual({one["id"]: one["addresses"] for one in cluster.file()["processes"]}, addresses, "the ports")


def test_aSecondCoordinatorOfTheSameNameSaysWhatIsInItsWay():
    with LocalCluster(workers=1) as cluster:
        config = os.path.join(cluster.dir, "co1", "coordinator.toml")
        for flags, code in (((), "E0710|E0706"), (("--data_dir", os.path.join(cluster.root, "other")), "E0706")):
            argv = [os.path.join(cluster.bin, "muster-coordinator"), "--config", config, *flags]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            checkSays(Answer(argv, done.returncode, done.stdout, done.stderr), code)
        # The last one met a taken port: a sentence and a next step.
        check("another program listens on 127.0.0.1:" in done.stderr and "ss -ltnp" in done.stderr, done.stderr)
        check("bind(" not in done.stderr and "toString" not in done.stderr, done.stderr)
        checkEqual(cluster.cli("get", "nodes").code, 0, "exit code of a command after it")


def mountSmall(path, bytes):
    """A disk of so many bytes; gone with this program, which has mounts of its own."""
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={bytes}", "none", path], check=True)


def fill(path):
    """Takes all that is left of a disk; gives the name of the file that has it."""
    name = os.path.join(path, "filler")
    with open(name, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return name


def needsOwnMounts():
    if not os.environ.get(OWN_MOUNTS):
        raise Skip("only root can mount a small disk")


def test_upSaysThatTheDiskIsFullAndLeavesNothing():
    needsOwnMounts()
    cluster = LocalCluster(workers=1)
    mountSmall(cluster.dir, 32 << 10)
    try:
        checkSays(cluster.cli("up", "--detach", "--dir", cluster.dir, *cluster.flags), "E0707", cluster.dir)
    finally:
        subprocess.run(["umount", cluster.dir], check=True)
        checkEqual(cluster.leaveNothing(), [], "processes left running")


def test_aCoordinatorWhoseDiskIsFullLosesNothingAndComesBack():
    needsOwnMounts()
    cluster = LocalCluster(workers=2)
    # Before `up`, whose coordinators then write there.
    disk = os.path.join(cluster.dir, "co1")
    mountSmall(disk, 24 << 20)
    try:
        fillTheLeadersDisk(cluster, disk)
    finally:
        subprocess.run(["umount", disk], check=True)
        shutil.rmtree(cluster.root)


def fillTheLeadersDisk(cluster, disk):
    with cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model, 2, 1), "--wait")
        pids = rankPids(cluster.ranks("sample"))
        if cluster.leader() != "co1":
            cluster.run("admin", "step-down", "--to", "co1", "--yes")
            cluster.waitFor("co1 leads", lambda: cluster.leader() == "co1")
        filler = fill(disk)
        names = [f"full-{n}" for n in range(30)]
        for name in names:
            cluster.apply(sleeper(name, model, replicas=0))
        cluster.waitFor("another leads", lambda: cluster.leader() != "co1")
        checkEqual({one["name"] for one in cluster.get("deployments")}, {"sample", *names}, "deployments")
        os.remove(filler)
        status = cluster.awaitOneIndex()
        checkEqual(len({one["state_hash"] for one in status["coordinators"]}), 1, "state hashes at one index")
        checkEqual(rankPids(cluster.ranks("sample")), pids, "the ranks' processes")


if __name__ == "__main__":
    if os.getuid() == 0 and not os.environ.get(OWN_MOUNTS):
        os.environ[OWN_MOUNTS] = "yes"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-B", *sys.argv])
    runTests("Resources", globals())
