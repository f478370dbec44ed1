#!/usr/bin/python3
"""A node without the files of a model loads its ranks' slices from another node's, and nothing that is wrong."""
import os
import re
import signal
import socket
import ssl

from endpoint import Endpoint
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from processes import readCount
from sample import SMALL, deployment, makeModel, makeSmallModel

PROMPT, TOKENS = [1, 2, 3, 4], 16
NOISE = 1 << 20


def configOf(cluster, node):
    return os.path.join(cluster.dir, node, "worker.toml")


def restart(cluster, node):
    cluster.awaitRestart(node, cluster.kill(node))
    cluster.waitFor(f"{node} is attached again",
                    lambda: all(one["status"]["attached"] for one in cluster.get("nodes")))


def hide(cluster, *nodes, weights=""):
    """From now on these nodes have no folder with models. `weights`: more keys of that table."""
    empty = os.path.join(cluster.root, "empty")
    os.makedirs(empty, exist_ok=True)
    for node in nodes:
        with open(configOf(cluster, node)) as file:
            text = file.read()
        text = text.replace("[weights]\n", f"[weights]\n{weights}")
        with open(configOf(cluster, node), "w") as file:
            file.write(re.sub(r"(?m)^model_roots = .*$", f'model_roots = ["{empty}"]', text))
        restart(cluster, node)


def clusterOf(workers):
    return LocalCluster(workers=workers, flags=["--restart", "zookeeper,coordinator,worker"])


def on(*nodes):
    return f"{{nodes: [{', '.join(nodes)}]}}"


def slices(ranks):
    return [[(one["tensor"], one["ranges"], one["checksum"]) for one in rank["slices"]] for rank in ranks]


def logOf(cluster, reference):
    return cluster.run("logs", reference).out


def readyAfter(cluster, lost):
    """The ranks of the sample, once they are Ready without the one that was lost."""
    ranks = cluster.ranks("sample")
    ready = all(one["phase"] == "Ready" and one["generation"] > lost["generation"] for one in ranks)
    return ranks if ready else None


def test_aReplicaOnANodeWithoutTheFilesIsTheSame():
    with clusterOf(2) as cluster:
        hide(cluster, "w2")
        model = makeModel(os.path.join(cluster.models, "speaking"), *SMALL, "--dtype", "f32")
        cluster.apply(deployment("here", model, tp=2, pp=1, placement=on("w1")), "--wait")
        here = cluster.ranks("here")
        before = {one["pid"]: readCount(one["pid"]) for one in here}
        cluster.apply(deployment("there", model, tp=2, pp=1, placement=on("w2")), "--wait")
        there = cluster.ranks("there")
        checkEqual({one["node"] for one in there}, {"w2"}, "where it runs")
        checkEqual(slices(there), slices(here), "slices and their checksums")
        checkEqual([one["bytes_loaded"] for one in there], [one["bytes_loaded"] for one in here], "bytes that were loaded")
        for pid, count in before.items():
            check(readCount(pid) - count < NOISE, "a rank that was Ready has read for the other")
        checkEqual(Endpoint(cluster, "there").tokens(PROMPT, TOKENS), Endpoint(cluster, "here").tokens(PROMPT, TOKENS),
                   "greedy tokens")
        check("from node w1" in logOf(cluster, "there/0/0"), "the rank does not say where its weights are from")
        check("another node reads weights" in cluster.logOf("w1"), "w1 does not say who read")


def test_aKilledRankOnANodeWithoutTheFilesIsReplacedAndTheOthersStay():
    with clusterOf(2) as cluster:
        hide(cluster, "w2")
        cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)
        cluster.apply(deployment("sample", makeSmallModel(cluster.models)), "--wait")
        before = cluster.ranks("sample")
        lost = next(one for one in before if one["node"] == "w2")
        stay = [one for one in before if one["rank"] != lost["rank"]]
        reads = {one["rank"]: readCount(one["pid"]) for one in stay}
        os.kill(lost["pid"], signal.SIGKILL)
        after = cluster.waitFor("the next generation is Ready", lambda: readyAfter(cluster, lost))
        checkEqual(slices(after), slices(before), "slices and their checksums")
        checkEqual(after[lost["rank"]]["node"], "w2", "where the replacement runs")
        for one in stay:
            now = after[one["rank"]]
            checkEqual((now["pid"], now["start_time"]), (one["pid"], one["start_time"]), "the process of a survivor")
            check(readCount(now["pid"]) - reads[one["rank"]] < NOISE, "a survivor has read")


def test_whatANodeHasKeptIsNotReadFromAnotherAgain():
    with clusterOf(2) as cluster:
        hide(cluster, "w2", weights=f'cache = "{cluster.root}/cache"\n')
        cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)
        cluster.apply(deployment("sample", makeSmallModel(cluster.models)), "--wait")
        before = cluster.ranks("sample")
        lost = next(one for one in before if one["node"] == "w2" and one["rank"] != 0)
        readers = cluster.logOf("w1").count("another node reads weights")
        check(readers > 0, "nobody has read from w1")
        os.kill(lost["pid"], signal.SIGKILL)
        after = cluster.waitFor("the next generation is Ready", lambda: readyAfter(cluster, lost))
        checkEqual(slices(after), slices(before), "slices and their checksums")
        checkEqual(cluster.logOf("w1").count("another node reads weights"), readers, "how often w1 was read from")
        check("from the cache of this node" in logOf(cluster, f"sample/0/{lost['rank']}"), "it does not say whence")


def test_aNodeThatDoesNotAnswerIsPassedOver():
    with clusterOf(3) as cluster:
        hide(cluster, "w3")
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("one", model, tp=1, pp=1, placement=on("w1")), "--wait")
        cluster.apply(deployment("two", model, tp=1, pp=1, placement=on("w2")), "--wait")
        frozen = cluster.kill("w1", signal.SIGSTOP)  # still attached when it is asked for, and first in line
        try:
            cluster.apply(deployment("there", model, tp=1, pp=1, placement=on("w3")), "--wait")
            checkEqual(slices(cluster.ranks("there")), slices(cluster.ranks("two")), "slices and their checksums")
            check("from node w2" in logOf(cluster, "there/0/0"), "it was not w2 that helped")
        finally:
            os.kill(frozen, signal.SIGCONT)


def flip(path):
    with open(path, "r+b") as file:
        file.seek(-3, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-3, os.SEEK_END)
        file.write(bytes([byte ^ 1]))


def test_aByteThatChangedOnTheOtherNodeIsRefusedAndTheNodeNamed():
    with clusterOf(2) as cluster:
        hide(cluster, "w2")
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("here", model, tp=1, pp=1, placement=on("w1")), "--wait")
        names = sorted(name for name in os.listdir(model) if name.endswith(".safetensors"))
        flip(os.path.join(model, names[-1]))
        cluster.apply(deployment("there", model, tp=1, pp=1, placement=on("w2")))

        def refused():
            why = cluster.run("why", "there", "-o", "json").out
            return why if "w1: its bytes of" in why and "WeightsCorrupt" in why else None

        cluster.waitFor("the wrong byte is refused", refused)


def test_whenNoNodeHasTheFilesTheRefusalSaysWhoWasAsked():
    with clusterOf(2) as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model, tp=1, pp=1, placement=on("w1")), "--wait")
        hide(cluster, "w1", "w2")
        cluster.apply(deployment("there", model, tp=1, pp=1, placement=on("w2")))

        def refused():
            why = cluster.run("why", "there", "-o", "json").out
            return why if "other nodes were asked: w1: " in why and "FetchFailed" in why else None

        cluster.waitFor("it is told who was asked", refused)


def weightPort(cluster, node):
    return int(re.findall(r"weights=127\.0\.0\.1:(\d+)", cluster.logOf(node))[-1])


def test_theWeightPortIsForCertificatesOfTheClusterOnly():
    with clusterOf(1) as cluster:
        context = ssl.create_default_context(cafile=os.path.join(cluster.dir, "pki", "ca.crt"))
        address = ("127.0.0.1", weightPort(cluster, "w1"))
        try:
            with socket.create_connection(address) as raw:
                with context.wrap_socket(raw, server_hostname="worker.local.muster") as line:
                    checkEqual(line.version(), "TLSv1.3", "the version of TLS")
                    line.sendall(b"\0" * 64)
                    checkEqual(line.recv(1), b"", "what it answers to somebody without a certificate")
        except (ssl.SSLError, ConnectionError):
            pass  # refused while shaking hands, or hung up on


if __name__ == "__main__":
    runTests("Weights", globals())
