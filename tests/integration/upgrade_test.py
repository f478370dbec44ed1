#!/usr/bin/python3
"""Two builds of the coordinator whose schema level differs by one, together under load: upgrade, downgrade, refusal.

muster-coordinator-next is the same program, built with the next level.
"""
import os

from by_hand import ByHand, handTo, rowOf
from facts import check, checkEqual, runTests
from load import LoadClient
from local_cluster import TEST_BIN, LocalCluster, rankPids
from sample import deployment, makeSmallModel
from waiting import waitFor

NEXT = os.path.join(TEST_BIN, "muster-coordinator-next")
COORDINATORS = ("co1", "co2", "co3")
LEVEL = 3  # of this build; the next one has one more


def levels(cluster):
    status = cluster.status()
    return status["schema_level"], [rowOf(status, id)["schema_level_max"] for id in COORDINATORS]


def awaitWrites(client, count=20):
    """Writes go on under whoever leads."""
    start = len(client.answers())
    waitFor("the client has written", lambda: len(client.answers()) >= start + count)


def checkTooOld(text):
    check("E0712" in text and f"schema level {LEVEL + 1}" in text and f"levels up to {LEVEL}" in text,
          f"no clear word: {text}")


def test_buildsOfTwoLevelsWorkTogetherAndTheLevelRisesOnceAllUnderstandIt():
    with LocalCluster(flags=("--restart", "zookeeper")) as cluster, ByHand(
            cluster, "--schema.raise_after", "1s") as coordinators:
        cluster.waitFor("the level of this build is there", lambda: levels(cluster) == (LEVEL, [LEVEL] * 3))
        model = makeSmallModel(cluster.models)
        cluster.apply(deployment("sample", model), "--wait")
        pids = rankPids(cluster.ranks("sample"))
        leader = cluster.leader()
        first, second = (id for id in COORDINATORS if id != leader)
        client = LoadClient(cluster, "load", model)
        awaitWrites(client)

        # The new build follows an old leader, and old ones follow it.
        coordinators.replace(first, program=NEXT)
        awaitWrites(client)
        handTo(cluster, first)
        awaitWrites(client)
        level, understood = levels(cluster)
        checkEqual((level, sorted(understood)), (LEVEL, [LEVEL, LEVEL, LEVEL + 1]), "levels while two do not understand the next")

        # A downgrade works until all do.
        coordinators.replace(first)
        awaitWrites(client)
        checkEqual(levels(cluster), (LEVEL, [LEVEL] * 3), "levels after the downgrade")

        for id in (first, second, leader):
            coordinators.replace(id, program=NEXT)
        cluster.waitFor("the level has risen", lambda: levels(cluster) == (LEVEL + 1, [LEVEL + 1] * 3))
        awaitWrites(client)
        events = [one["message"] for one in cluster.get("events") if one["type"] == "SchemaLevelRaised"]
        # The rise to this build's level may be too long ago for the newest events.
        raises = [one for one in events if f"from {LEVEL} to {LEVEL + 1}, understood by co1, co2, co3" in one]
        checkEqual(len(raises), 1, f"raises of the level to {LEVEL + 1} among {events}")

        # From now on the old build is refused, with its own store and with an empty one.
        coordinators.stop(first)
        checkTooOld(coordinators.refusal(first))
        checkTooOld(coordinators.refusal(first, "--data_dir", os.path.join(cluster.root, "empty")))
        coordinators.start(first, program=NEXT)
        awaitWrites(client)

        answers = client.end()
        checkEqual([one for one in answers if "refusal" in one], [], "refusals")
        status = cluster.awaitOneIndex()
        checkEqual(len({one["state_hash"] for one in status["coordinators"]}), 1, "state hashes at one index")
        checkEqual(rankPids(cluster.ranks("sample")), pids, "the ranks' processes")
        print(f"{len(answers)} writes acknowledged through the upgrade")


if __name__ == "__main__":
    runTests("Upgrade", globals())
