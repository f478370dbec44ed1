#!/usr/bin/python3
"""Workers and ranks that die, and those that come back."""
import os
import signal

from facts import check, checkEqual, runTests
from local_cluster import LocalCluster, rankPids
from processes import killAll, startTime
from sample import deployment, makeSmallModel


def nodeOf(cluster, name):
    return next(one for one in cluster.get("nodes") if one["name"] == name)


def deploy(cluster):
    cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)
    cluster.apply(deployment("sample", makeSmallModel(cluster.models)), "--wait")
    return cluster.ranks("sample")


def awaitReplacement(cluster, before):
    """Waits for a newer generation that is Ready, and gives its ranks."""
    generation = before[0]["generation"]

    def there():
        ranks = cluster.ranks("sample")
        ready = ranks and all(one["phase"] == "Ready" and one["generation"] > generation for one in ranks)
        return ranks if ready else None

    after = cluster.waitFor(f"a generation after {generation} is Ready", there)
    checkEqual(len(after), len(before), "ranks of the new generation")
    return after


def awaitEnded(cluster, processes, what):
    cluster.waitFor(f"{what} are stopped", lambda: not [pid for pid, time in processes if startTime(pid) == time])


def processesOn(ranks, node):
    return [(one["pid"], one["start_time"]) for one in ranks if one["node"] == node]


def comeBack(cluster, lost, before):
    """`up` starts the missing worker, which stops what is old and is a node like others again."""
    cluster.up()
    awaitEnded(cluster, processesOn(before, lost), f"the old ranks on {lost}")
    cluster.waitFor(f"{lost} is Ready and empty", lambda: nodeOf(cluster, lost)["status"]["phase"] == "Ready"
                    and nodeOf(cluster, lost)["gpus"]["busy"] == 0)


def checkMoved(before, after, lost):
    check(lost not in {one["node"] for one in after}, f"ranks on the lost {lost}: {after}")
    for old, new in zip(before, after):
        stays = (new["pid"], new["start_time"]) == (old["pid"], old["start_time"])
        checkEqual(stays, old["node"] != lost, f"rank {old['rank']}, which was on {old['node']}, kept its process")


def test_whatADeadAgentLeftIsPlacedElsewhereAndStoppedWhenItReturns():
    with LocalCluster() as cluster:
        before = deploy(cluster)
        lost = before[0]["node"]
        cluster.kill(lost)
        after = awaitReplacement(cluster, before)
        checkMoved(before, after, lost)
        for pid, time in processesOn(before, lost):
            checkEqual(startTime(pid), time, f"the start time of a rank that nobody on {lost} could stop")
        cluster.waitFor(f"{lost} is Lost", lambda: nodeOf(cluster, lost)["status"]["phase"] == "Lost")
        comeBack(cluster, lost, before)
        checkEqual(rankPids(cluster.ranks("sample")), rankPids(after), "ranks after the return")


def test_aDeadMachinesReplicaIsReadyOnOtherNodes():
    with LocalCluster() as cluster:
        before = deploy(cluster)
        lost = before[0]["node"]
        killAll([cluster.pid(lost), *(pid for pid, _ in processesOn(before, lost))])
        after = awaitReplacement(cluster, before)
        checkMoved(before, after, lost)
        comeBack(cluster, lost, before)
        checkEqual(rankPids(cluster.ranks("sample")), rankPids(after), "ranks after the return")


def test_anAgentThatIsBackWithinTheGraceFindsItsRanksAgain():
    with LocalCluster(flags=["--restart", "zookeeper,coordinator,worker"]) as cluster:
        before = deploy(cluster)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for node in sorted({one["node"] for one in before}):
                incarnation = nodeOf(cluster, node)["agent_incarnation"]
                cluster.awaitRestart(node, cluster.kill(node, number))
                cluster.waitFor(f"{node} is attached again", lambda: nodeOf(cluster, node)["status"]["attached"]
                                and nodeOf(cluster, node)["agent_incarnation"] != incarnation)
        after = cluster.ranks("sample")
        checkEqual(rankPids(after), rankPids(before), "the ranks' processes")
        checkEqual([one["generation"] for one in after], [one["generation"] for one in before], "generations")
        checkEqual(cluster.awaitPhase("sample", "Ready")["replicas"], {"desired": 1, "ready": 1}, "replicas")


def test_aKilledRankBringsANewGenerationAndTellsWhy():
    with LocalCluster() as cluster:
        before = deploy(cluster)
        os.kill(before[2]["pid"], signal.SIGKILL)
        after = awaitReplacement(cluster, before)
        check(after[2]["pid"] != before[2]["pid"], "rank 2 is the dead process")
        events = [one for one in cluster.get("events") if one["object"].startswith("sample")]
        texts = "\n".join(f"{one['type']} {one['object']} {one['message']}" for one in events)
        check("RankCrashed" in texts, f"no event says RankCrashed:\n{texts}")
        check("sample/0/2" in texts or "rank 2" in texts, f"no event names the rank:\n{texts}")


def test_aRankThatKeepsDyingIsNamedWithItsFirstError():
    with LocalCluster(workers=2) as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(f"version: 1\nname: broken\nmodel: file:{model}\ngpus: 1\n"
                      "engine: {kind: process, command: [sh, -c, 'echo error: no such option >&2; exit 3']}\n")
        cluster.waitFor("the first error is shown",
                        lambda: "no such option" in cluster.run("logs", "broken", "--first-error").out)
        why = cluster.waitFor("why tells the reason", lambda: cluster.run("why", "broken", "-o", "json").json())
        check(why["reason"] in ("EngineExited", "RankCrashed"), f"why: {why}")


if __name__ == "__main__":
    runTests("WorkerKill", globals())
