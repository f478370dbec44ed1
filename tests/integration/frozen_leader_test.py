#!/usr/bin/python3
"""A leader that hangs for three sessions and wakes up again: another leads by then, and it does no harm."""
import os
import signal
import time

from facts import check, checkEqual, runTests
from load import LoadClient
from local_cluster import LocalCluster, rankPids
from processes import state
from sample import deployment, makeSmallModel
from waiting import waitFor

SESSION_S = 1.0  # zookeeper.session_timeout's default


def row(status, id):
    return next(one for one in status["coordinators"] if one["id"] == id)


def freeze(cluster, id):
    pid = cluster.kill(id, signal.SIGSTOP)
    waitFor(f"{id} is stopped", lambda: state(pid) == "T")
    return pid, time.monotonic()


def test_aLeaderFrozenForThreeSessionsCommitsNothingMore():
    with LocalCluster() as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model), "--wait")
        pids = rankPids(cluster.ranks("sample"))
        before = cluster.status()
        old = before["leader"]["id"]
        client = LoadClient(cluster, "load", model)
        waitFor("the client has written", lambda: len(client.answers()) >= 20)

        pid, since = freeze(cluster, old)
        answer = waitFor("a new leader serves", lambda: next(
            one for one in client.answers() if one.get("epoch", 0) > before["epoch"]))
        waitFor("three sessions are over", lambda: time.monotonic() - since > 3 * SESSION_S)
        during = cluster.status()
        check(during["leader"]["id"] != old, f"{old} still leads: {during}")
        check(not row(during, old)["reachable"], f"a stopped {old} is called reachable: {during}")
        os.kill(pid, signal.SIGCONT)

        def fenced():
            found = row(cluster.status(), old)
            return found if found["reachable"] and found["fenced_attempts"] > 0 else None

        print("fenced:", cluster.waitFor(f"{old} shows what was fenced", fenced))
        answers = client.end()
        after = cluster.awaitOneIndex()
        checkEqual(row(after, old)["stage"], "standby", f"the stage of {old}")
        checkEqual(len({one["state_hash"] for one in after["coordinators"]}), 1, "state hashes at one index")
        checkEqual(cluster.pid(old), pid, f"the process of {old}")
        checkEqual([one for one in answers if "refusal" in one], [], "refusals")
        checkEqual(rankPids(cluster.ranks("sample")), pids, "the ranks' processes")
        checkNothingOfTheOldEpoch(answers, answer)
        cluster.down()


def checkNothingOfTheOldEpoch(answers, first):
    """What is acknowledged after the first answer of the new epoch is of no older one; indices and epochs only grow."""
    later = answers[answers.index(first):]
    checkEqual([one for one in later if one["epoch"] < first["epoch"]], [], "answers of an older epoch")
    order = [(one["index"], one["epoch"]) for one in answers]
    checkEqual(order, sorted(order), "indices and epochs as they were acknowledged")


if __name__ == "__main__":
    runTests("FrozenLeader", globals())
