#!/usr/bin/python3
"""kill -9 of the leader, again and again, while a client changes things: nothing acknowledged is ever forgotten.

MUSTER_KILLS: how many times (default 3).
"""
import os
import signal
import time

from facts import check, checkEqual, runTests
from load import LoadClient
from local_cluster import LocalCluster, rankPids
from sample import deployment, makeSmallModel
from waiting import waitFor

KILLS = int(os.environ.get("MUSTER_KILLS", "3"))
CALLS_BEFORE_KILL = 20  # so that the leader dies with calls under way


def killOnce(cluster, client):
    """Gives the gap: from kill(2) to the first acknowledged write of a newer epoch, in seconds."""
    start = len(client.answers())
    waitFor("the client has written", lambda: len(client.answers()) >= start + CALLS_BEFORE_KILL)
    epoch, leader = cluster.status()["epoch"], cluster.leader()
    pid = cluster.pid(leader)
    before = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    first = waitFor("a newer epoch acknowledges a write", lambda: next(
        one for one in client.answers() if one["end_ns"] > before and one.get("epoch", 0) > epoch))
    cluster.awaitRestart(leader, pid)
    return (first["end_ns"] - before) / 1e9


def settle(cluster, others):
    """All report one applied index, and then one hash."""
    status = cluster.awaitOneIndex()
    checkEqual(len(status["coordinators"]), 3, "coordinators in admin status")
    hashes = {row["state_hash"] for row in status["coordinators"]}
    check(len(hashes) == 1 and None not in hashes, f"the state hashes differ: {status}")
    checkEqual(rankPids(cluster.ranks("sample")), others, "the ranks' processes")


def checkNothingForgotten(cluster, answers):
    refused = [one for one in answers if "refusal" in one]
    checkEqual(refused, [], "refusals")
    stores = {id: {row["request_id"]: row for row in cluster.store(id)} for id in ("co1", "co2", "co3")}
    for id, rows in stores.items():
        lost = [one for one in answers if one["request_id"] not in rows]
        checkEqual(lost, [], f"acknowledged requests that {id} does not know")
        elsewhere = [one for one in answers if rows[one["request_id"]]["index"] != one["index"]]
        checkEqual(elsewhere, [], f"requests that {id} has at another index")


def show(gaps, answers):
    gaps = sorted(gaps)
    p99 = gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))]
    print(f"{len(gaps)} kills, {len(answers)} acknowledged writes; gap in seconds: minimum {gaps[0]:.3f}, "
          f"median {gaps[len(gaps) // 2]:.3f}, p99 {p99:.3f}, each: {' '.join(f'{gap:.3f}' for gap in gaps)}")


def test_noAcknowledgedChangeIsForgottenWhenLeadersDie():
    with LocalCluster() as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model), "--wait")
        pids = rankPids(cluster.ranks("sample"))
        answers, gaps = [], []
        for i in range(KILLS):
            client = LoadClient(cluster, f"load{i}", model)
            gaps.append(killOnce(cluster, client))
            answers += client.end()
            settle(cluster, pids)
        show(gaps, answers)
        check(len(answers) >= KILLS * CALLS_BEFORE_KILL, f"only {len(answers)} writes")
        cluster.down()
        checkNothingForgotten(cluster, answers)


if __name__ == "__main__":
    runTests("LeaderKill", globals())
