#!/usr/bin/python3
"""When a part of a replica dies, only that part starts anew: the others keep their process and their weights."""
import os
import re
import signal

from facts import check, checkEqual, runTests
from local_cluster import LocalCluster, rankPids
from processes import commandLine, processesOf, readCount, startTime
from sample import deployment, makeModel, makeSmallModel

# What a rank reads for other things than weights: a rendezvous, an agent's questions, shared libraries on first use.
NOISE = 1 << 20


def deploy(cluster):
    """The sample in four parts, on a cluster that may follow generations in place."""
    cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)
    cluster.apply(deployment("sample", makeSmallModel(cluster.models)), "--wait")
    return cluster.ranks("sample")


def awaitNext(cluster, before):
    generation = before[0]["generation"]

    def there():
        ranks = cluster.ranks("sample")
        ready = len(ranks) == len(before) and all(one["phase"] == "Ready" and one["generation"] > generation
                                                  for one in ranks)
        return ranks if ready else None

    return cluster.waitFor(f"a generation after {generation} is Ready", there)


def reads(ranks):
    return {one["rank"]: readCount(one["pid"]) for one in ranks}


def slices(rank):
    return [(one["tensor"], one["ranges"], one["checksum"]) for one in rank["slices"]]


def checkRecovered(before, after, lost, readBefore):
    """`lost`: the numbers of the ranks that were lost."""
    readAfter = reads(after)
    for old, new in zip(before, after):
        rank = old["rank"]
        checkEqual(slices(new), slices(old), f"the slices of rank {rank}")
        if rank in lost:
            check((new["pid"], new["start_time"]) != (old["pid"], old["start_time"]), f"rank {rank} is the dead process")
            continue
        checkEqual((new["pid"], new["start_time"]), (old["pid"], old["start_time"]), f"the process of rank {rank}")
        checkEqual(startTime(new["pid"]), new["start_time"], f"the running process of rank {rank}")
        grown = readAfter[rank] - readBefore[rank]
        check(grown < NOISE, f"rank {rank} kept its weights and read {grown} bytes")
    checkEqual(len({one["generation"] for one in after}), 1, "generations of one gang")


def test_eachRankMayBeKilledInTurnAndTheOthersReadNothing():
    with LocalCluster() as cluster:
        before = deploy(cluster)
        for rank in range(4):
            readBefore = reads(before)
            os.kill(before[rank]["pid"], signal.SIGKILL)
            after = awaitNext(cluster, before)
            checkRecovered(before, after, {rank}, readBefore)
            checkEqual(after[rank]["node"], before[rank]["node"], "the place of what was only a process")
            before = after
        types = [one["type"] for one in cluster.get("events") if one["object"] == "sample/0"]
        checkEqual(types.count("Advanced"), 4, "generations that followed in place")
        checkEqual(types.count("Retired"), 0, "gangs that ended")


def test_theRanksOfALostNodeAreLoadedElsewhereAndTheOthersStay():
    with LocalCluster() as cluster:
        before = deploy(cluster)
        node = before[-1]["node"]
        lost = {one["rank"] for one in before if one["node"] == node}
        check(len(lost) < 4, f"all ranks are on {node}")
        readBefore = reads(before)
        for one in before:
            if one["rank"] in lost:
                os.kill(one["pid"], signal.SIGKILL)
        cluster.kill(node)
        after = awaitNext(cluster, before)
        while node in {one["node"] for one in after}:  # its ranks' death was heard before its own
            after = awaitNext(cluster, after)
        checkRecovered(before, after, lost, readBefore)


def test_aRankThatHangsIsNamedAndReplacedAlone():
    with LocalCluster() as cluster:
        before = deploy(cluster)
        readBefore = reads(before)
        os.kill(before[2]["pid"], signal.SIGSTOP)
        after = awaitNext(cluster, before)
        checkRecovered(before, after, {2}, readBefore)
        failures = [one["message"] for one in cluster.get("events") if one["type"] == "RankFailed"]
        checkEqual(len(failures), 1, f"ranks that failed: {failures}")
        place = f"rank 2 ({before[2]['node']}:"
        check(failures[0].startswith(place) and "RankStalled: it hangs" in failures[0], f"who hangs: {failures[0]}")
        check("its process is stopped; its last operation: wait for the next step" in failures[0],
              f"what it did: {failures[0]}")
        check("first error: it hangs" in failures[0], f"an error that is none: {failures[0]}")


def stopWhileItLoads(cluster, rank):
    """Stops the process of a rank that has read a part of its weights."""
    pid = cluster.waitFor(f"rank {rank} runs", lambda: next(pid for pid in processesOf(cluster.root)
                                                            if f"-{rank}/control" in commandLine(pid)))
    cluster.waitFor(f"rank {rank} reads its weights", lambda: readCount(pid) > NOISE)
    os.kill(pid, signal.SIGSTOP)


def test_aRankThatHangsWhileItLoadsIsNamedWithWhatItDid():
    stall = 30
    with LocalCluster(deviceMemory="1GiB") as cluster:
        model = makeModel(os.path.join(cluster.models, "sample"))
        cluster.apply(deployment("sample", model, timeouts=f"{{stall: {stall}s}}"))
        stopWhileItLoads(cluster, 2)
        failure = cluster.waitFor("somebody is named", lambda: next(
            one["message"] for one in cluster.get("events") if one["type"] == "RankFailed"), patience=stall)
        named = re.match(r"rank 2 \((w\d):(\d)\) RankStalled: it hangs: .*; its process is stopped; "
                         r"its last operation: (opening of|load of|reading of|placing of|meeting of|joining of)",
                         failure)
        check(named, f"who hangs, where and what it did: {failure}")
        ranks = cluster.waitFor("all is Ready without it", lambda: cluster.awaitPhase("sample", "Ready")
                                and cluster.ranks("sample"))
        device = (ranks[2]["node"], ranks[2]["devices"])
        checkEqual(device, (named[1], [int(named[2])]), "the place of what was only a process")


def test_anAgentThatComesBackFindsRanksOfTheNextGeneration():
    with LocalCluster(flags=["--restart", "zookeeper,coordinator,worker"]) as cluster:
        before = deploy(cluster)
        os.kill(before[1]["pid"], signal.SIGKILL)
        after = awaitNext(cluster, before)
        for node in sorted({one["node"] for one in after}):
            cluster.awaitRestart(node, cluster.kill(node))
        cluster.waitFor("all agents are attached again",
                        lambda: all(one["status"]["attached"] for one in cluster.get("nodes")))
        again = cluster.waitFor("the deployment is Ready",
                                lambda: cluster.awaitPhase("sample", "Ready") and cluster.ranks("sample"))
        checkEqual(rankPids(again), rankPids(after), "the ranks' processes")


if __name__ == "__main__":
    runTests("Recovery", globals())
