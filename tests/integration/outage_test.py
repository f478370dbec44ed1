#!/usr/bin/python3
"""All ZooKeeper servers are away for a while: what serves goes on serving, and afterwards everything goes on.

MUSTER_OUTAGE_S: for how long (default 60).
"""
import http.client
import os
import re
import signal
import time

from facts import check, checkEqual, runTests
from identity_test import certificateOf, clientContext
from load import LoadClient
from local_cluster import LocalCluster, rankPids
from processes import startTime, state
from sample import deployment, makeSmallModel, sleeper
from waiting import waitFor

OUTAGE_S = float(os.environ.get("MUSTER_OUTAGE_S", "60"))
ANSWER_S = 10  # no call may hang longer, whatever it is refused with
COORDINATORS = ("co1", "co2", "co3")


def timed(cluster, *words):
    start = time.monotonic()
    answer = cluster.cli(*words)
    took = time.monotonic() - start
    check(took < ANSWER_S, f"{' '.join(words)} took {took:.1f} s: {answer}")
    return answer


def fetch(cluster, id, path):
    """(status, headers) of a coordinator's HTTP port, asked with the administrator's certificate."""
    port = int(cluster.process(id)["addresses"]["http"].rsplit(":", 1)[1])
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=ANSWER_S,
                                             context=clientContext(certificateOf(cluster, "admin-admin")))
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status, dict(response.getheaders())
    finally:
        connection.close()


def processesOfAll(cluster):
    return {one["id"]: (one["pid"], startTime(one["pid"])) for one in cluster.file()["processes"]}


def checkRefused(cluster, *words):
    answer = timed(cluster, *words, "--timeout", "3s")
    checkEqual(answer.code, 7, f"exit code of {answer}")


def checkDuring(cluster, pids, index):
    """Ranks live, stale reads are answered and marked, everything that needs a proof is refused in time."""
    for pid, started in pids.values():
        checkEqual(startTime(pid), started, f"start of rank process {pid}")
    stale = timed(cluster, "get", "deployments", "--stale", "-o", "json", "--timeout", "3s")
    checkEqual(stale.code, 0, f"exit code of {stale}")
    marked = re.search(r"stale: as of log index (\d+), known to be the newest .* ago", stale.err)
    check(marked and int(marked[1]) >= index, f"not marked, or from before index {index}: {stale}")
    names = {one["name"] for one in stale.json()["items"]}
    check({"sample", "programs"} <= names, f"deployments of a stale read: {names}")
    checkRefused(cluster, "get", "deployments")
    checkRefused(cluster, "cordon", "w1")


def checkHttp(cluster, index):
    for id in COORDINATORS:
        status, headers = fetch(cluster, id, "/readyz")
        checkEqual((status, "Retry-After" in headers), (503, True), f"/readyz of {id}")
        status, headers = fetch(cluster, id, "/api/v1/deployments")
        checkEqual(status, 200, f"stale deployments of {id}")
        check(int(headers["X-Muster-Index"]) >= index, f"index of {id}: {headers}")
        check(int(headers["X-Muster-Age-Ms"]) > 0, f"age of {id}: {headers}")


def test_aStoreOutageIsNoServingOutage():
    with LocalCluster(flags=["--zookeepers", "3"]) as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model, tp=2, pp=1), "--wait")
        cluster.apply(sleeper("programs", model), "--wait")
        pids = rankPids(cluster.ranks())
        everything = processesOfAll(cluster)
        client = LoadClient(cluster, "load", model)
        waitFor("the client has written", lambda: len(client.answers()) >= 20)
        client.end()
        index = cluster.awaitOneIndex()["coordinators"][0]["applied_index"]

        servers = list(cluster.pids("zookeeper").values())
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)
        since = time.monotonic()
        try:
            waitFor("all servers are stopped", lambda: all(state(pid) == "T" for pid in servers))
            waitFor("no coordinator is ready", lambda: all(fetch(cluster, id, "/readyz")[0] == 503
                                                           for id in COORDINATORS))
            rounds = 0
            while rounds == 0 or time.monotonic() - since < OUTAGE_S:
                checkDuring(cluster, pids, index)
                rounds += 1
            checkHttp(cluster, index)
        finally:
            for pid in servers:
                os.kill(pid, signal.SIGCONT)
        away, back = time.monotonic() - since, time.monotonic()
        cluster.waitFor("changes are carried out again", lambda: cluster.cli("cordon", "w1").code == 0)
        print(f"away {away:.1f} s, {rounds} rounds of questions; the first change {time.monotonic() - back:.2f} s after")
        cluster.run("uncordon", "w1")
        after = cluster.awaitOneIndex()
        checkEqual(len({row["state_hash"] for row in after["coordinators"]}), 1, "state hashes")
        checkEqual([row["alarms"] for row in after["coordinators"]], [[], [], []], "alarms")
        checkEqual({**rankPids(cluster.ranks("sample")), **rankPids(cluster.ranks("programs"))}, pids, "the ranks' processes")
        checkEqual(processesOfAll(cluster), everything, "the processes of the cluster")


if __name__ == "__main__":
    runTests("Outage", globals())
