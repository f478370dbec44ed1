#!/usr/bin/python3
"""Restarts of what the cluster is made of: nothing is forgotten, and no rank notices."""
import os
import signal

from facts import check, checkEqual, runTests
from load import LoadClient
from local_cluster import LocalCluster, rankPids
from sample import deployment, makeSmallModel, sleeper
from waiting import waitFor


def deploy(cluster):
    model = makeSmallModel(cluster.models)
    cluster.apply(deployment("sample", model), "--wait")
    return model, rankPids(cluster.ranks("sample"))


def checkUnmoved(cluster, pids):
    status = cluster.awaitOneIndex()
    checkEqual(len({one["state_hash"] for one in status["coordinators"]}), 1, "state hashes at one index")
    checkEqual(rankPids(cluster.ranks("sample")), pids, "the ranks' processes")
    cluster.awaitPhase("sample", "Ready")


def test_zookeeperComesBackAndTheClusterGoesOn():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        cluster.awaitRestart("zk1", cluster.kill("zk1"))
        cluster.apply(sleeper("after", model), "--wait")
        checkUnmoved(cluster, pids)


def test_aStandbyComesBackAndCatchesUp():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        leader = cluster.leader()
        standby = next(id for id in ("co1", "co2", "co3") if id != leader)
        old = cluster.kill(standby, signal.SIGTERM)
        cluster.apply(sleeper("meanwhile", model), "--wait")
        cluster.awaitRestart(standby, old)
        checkUnmoved(cluster, pids)
        checkEqual(cluster.leader(), leader, "the leader")
        rows = cluster.run("get", "deployments", "-o", "json", "--stale").json()["items"]
        checkEqual({row["name"] for row in rows}, {"sample", "meanwhile"}, "deployments of a stale read")


def gapOf(answers, epoch):
    """Seconds from the last acknowledged write of an epoch to the first of a newer one."""
    last = max(one["end_ns"] for one in answers if one["epoch"] <= epoch)
    return (min(one["end_ns"] for one in answers if one["epoch"] > epoch) - last) / 1e9


def test_aLeaderThatIsToldToStopHandsOver():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        before = cluster.status()
        leader = before["leader"]["id"]
        client = LoadClient(cluster, "load", model)
        waitFor("the client has written", lambda: len(client.answers()) >= 20)
        old = cluster.kill(leader, signal.SIGTERM)
        waitFor("a newer epoch acknowledges a write",
                lambda: any(one.get("epoch", 0) > before["epoch"] for one in client.answers()))
        cluster.awaitRestart(leader, old)
        answers = client.end()
        checkEqual([one for one in answers if "refusal" in one], [], "refusals")
        print(f"hand-over by SIGTERM: no write for {gapOf(answers, before['epoch']):.3f} s")
        checkUnmoved(cluster, pids)
        check(cluster.leader() != leader, f"{leader} leads again")


def test_stepDownHandsOverToTheOneThatIsNamed():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        before = cluster.awaitOneIndex()
        successor = next(one["id"] for one in before["coordinators"] if one["stage"] == "standby")
        cluster.run("admin", "step-down", "--to", successor, "--yes")
        cluster.waitFor(f"{successor} leads", lambda: cluster.leader() == successor)
        check(cluster.status()["epoch"] > before["epoch"], "the epoch did not grow")
        checkUnmoved(cluster, pids)


def test_downAndUpBringTheSameClusterBack():
    with LocalCluster() as cluster:
        _, pids = deploy(cluster)
        before = cluster.awaitOneIndex()
        ports = {one["id"]: one["addresses"] for one in cluster.file()["processes"]}
        cluster.down("--keep-ranks")
        for pid, _ in pids.values():
            check(os.path.exists(f"/proc/{pid}"), f"rank process {pid} was stopped in spite of --keep-ranks")
        cluster.up()
        checkEqual({one["id"]: one["addresses"] for one in cluster.file()["processes"]}, ports, "the ports")
        check(cluster.status()["epoch"] > before["epoch"], "the epoch did not grow")
        checkUnmoved(cluster, pids)


if __name__ == "__main__":
    runTests("Restart", globals())
