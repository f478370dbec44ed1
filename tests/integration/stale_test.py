#!/usr/bin/python3
"""What coordinators say that are cut off from ZooKeeper only, and that everybody else can reach."""
import os
import re
import signal
import threading
import time

from by_hand import ByHand, handTo
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from relay import Relay
from sample import makeSmallModel, sleeper

UNREACHABLE = 7
NOT_FOUND = 4


def contextOf(cluster, name, wanted):
    """A context that knows only some coordinators."""
    addresses = [f'"{one["addresses"]["rpc"]}"' for one in cluster.file()["processes"] if one["id"] in wanted]
    with open(os.path.join(cluster.dir, "context.toml")) as file:
        text = re.sub(r"coordinators = .*", f"coordinators = [{', '.join(addresses)}]", file.read())
    path = os.path.join(cluster.dir, name + ".toml")
    with open(path, "w") as file:
        file.write(text)
    return path


class Asker(threading.Thread):
    """Asks one coordinator the same thing without pause; keeps (when it was asked, the answer). A user of its own: what
    others have seen does not keep it from an old answer."""

    def __init__(self, cluster, context, user, *words):
        super().__init__(daemon=True)
        self.cluster, self.context, self.user, self.words = cluster, context, user, words
        self.answers, self.ends = [], False
        self.start()

    def run(self):
        while not self.ends:
            asked = time.monotonic()
            self.answers.append((asked, self.cluster.cli(*self.words, "--timeout", "300ms", context=self.context,
                                                            user=self.user)))

    def end(self):
        self.ends = True
        self.join()
        return self.answers


def names(answer):
    return {one["name"] for one in answer.json()["items"]}


def test_aLeaderCutOffFromZookeeperAnswersNothingOldAndRefusesNothingWrongly():
    with LocalCluster(workers=1, flags=("--restart", "zookeeper")) as cluster, Relay(
            cluster.file()["zookeeper"][0]) as relay, ByHand(cluster) as coordinators:
        model = makeSmallModel(cluster.models)
        cluster.apply(sleeper("before", model), "--wait")
        others = [one["id"] for one in cluster.status()["coordinators"] if one["stage"] == "standby"]
        old = others.pop()
        coordinators.replace(old, "--zookeeper.servers", relay.address)
        handTo(cluster, old)
        others = [id for id in ("co1", "co2", "co3") if id != old]
        theOld, theOthers = contextOf(cluster, "old", [old]), contextOf(cluster, "others", others)

        asked = [Asker(cluster, theOld, "reader", "get", "deployments", "-o", "json"),
                 Asker(cluster, theOld, "finder", "get", "deployments", "after", "-o", "json"),
                 Asker(cluster, theOld, "changer", "scale", "after", "--replicas", "1", "--dry-run", "-o", "json")]
        cluster.waitFor("the old leader answers", lambda: asked[0].answers and asked[0].answers[-1][1].code == 0)
        relay.cut()
        cluster.run("apply", "-", stdin=sleeper("after", model), context=theOthers)
        acknowledged = time.monotonic()
        cluster.waitFor("each is asked again", lambda: all(
            one.answers and one.answers[-1][0] > acknowledged for one in asked))
        reads, finds, rehearsals = (one.end() for one in asked)

        late = [answer for at, answer in reads if at > acknowledged]
        wrong = [answer for answer in late if answer.code != UNREACHABLE and "after" not in names(answer)]
        checkEqual(wrong, [], "reads of the old state after a write was acknowledged")
        wrong = [answer for at, answer in finds + rehearsals if at > acknowledged and answer.code == NOT_FOUND]
        checkEqual(wrong, [], "refusals that rest on the old state")
        print(f"{len(reads) + len(finds) + len(rehearsals)} calls, {len(late)} reads after the write")

        # A stale read goes on, says how old it is, and never goes back: this user has seen the write.
        back = cluster.cli("get", "deployments", "--stale", "-o", "json", "--timeout", "1s", context=theOld)
        checkEqual(back.code, UNREACHABLE, f"exit code of a read from before what was seen: {back}")
        fresh = cluster.run("get", "deployments", "--stale", "-o", "json", "--timeout", "5s", context=theOld,
                            user="another")
        checkEqual(names(fresh), {"before"}, "deployments of the stale read")
        check(re.search(r"stale: as of log index \d+, known to be the newest .* ago", fresh.err), fresh.err)

        relay.mend()
        cluster.waitFor("the old leader has caught up", lambda: "after" in names(
            cluster.run("get", "deployments", "--stale", "-o", "json", context=theOld)))


def test_aCoordinatorThatStartsWithoutZookeeperAnswersFromItsStore():
    with LocalCluster(workers=1) as cluster:
        cluster.apply(sleeper("before", makeSmallModel(cluster.models)), "--wait")
        standby = next(one["id"] for one in cluster.awaitOneIndex()["coordinators"] if one["stage"] == "standby")
        only = contextOf(cluster, "only", [standby])
        cluster.kill("zk1", signal.SIGSTOP)
        try:
            cluster.awaitRestart(standby, cluster.kill(standby))
            answer = cluster.waitFor(f"{standby} answers", lambda: next(one for one in [
                cluster.cli("get", "deployments", "--stale", "-o", "json", context=only)] if one.code == 0))
            checkEqual(names(answer), {"before"}, "deployments of the stale read")
            check("nobody knows how old" in answer.err, answer.err)
            answer = cluster.cli("get", "deployments", "--timeout", "1s", context=only)
            checkEqual(answer.code, UNREACHABLE, f"exit code of a linearizable read: {answer}")
        finally:
            cluster.kill("zk1", signal.SIGCONT)
        cluster.waitFor("everything is answered again", lambda: cluster.cli("get", "deployments").code == 0)


if __name__ == "__main__":
    runTests("Stale", globals())
