#!/usr/bin/python3
"""ZooKeeper loses, damages or forgets what it had acknowledged: nothing is made up, and what can be put right is."""
import os
import shutil
import signal
import subprocess

from facts import check, checkEqual, runTests
from load import LoadClient
from local_cluster import TEST_BIN, LocalCluster, rankPids
from processes import startTime, state
from sample import deployment, makeSmallModel
from waiting import waitFor
from zookeeper import ZooKeeper

COORDINATORS = ("co1", "co2", "co3")
LOST = 7  # batches taken off the end of the log
OLD_BATCHES = 1100  # more than coordinators keep the bytes of


def open_(cluster):
    with open(os.path.join(cluster.dir, "secrets", "zookeeper-digest")) as file:
        return ZooKeeper(cluster.file()["zookeeper"][0], file.read().strip())


def root(zookeeper):
    _, names = zookeeper.children("/")
    return "/" + next(name for name in names if name.startswith("muster-"))


def logNames(zookeeper):
    _, names = zookeeper.children(root(zookeeper) + "/log")
    return sorted(names)


def lastBatch(cluster):
    with open_(cluster) as zookeeper:
        return int(logNames(zookeeper)[-1])


def row(status, id):
    return next(one for one in status["coordinators"] if one["id"] == id)


def alarmsOf(cluster):
    """{coordinator: {alarm: text}}"""
    return {one["id"]: {alarm["name"]: alarm["text"] for alarm in one["alarms"]}
            for one in cluster.status()["coordinators"]}


def deploy(cluster):
    model = makeSmallModel(cluster.models)
    cluster.apply(deployment("sample", model, tp=2, pp=1), "--wait")
    return model, rankPids(cluster.ranks())


def write(cluster, model, prefix, count):
    client = LoadClient(cluster, prefix, model)
    waitFor(f"{count} changes are acknowledged", lambda: len(client.answers()) >= count, patience=180)
    answers = client.end()
    checkEqual([one for one in answers if "refusal" in one], [], "refusals")
    return answers


def checkWhole(cluster, pids, answers):
    """One index, one hash, no alarm, every acknowledged request in every store at its index."""
    status = cluster.waitFor("no alarm is left", lambda: not any(alarmsOf(cluster).values()) and cluster.awaitOneIndex())
    hashes = {one["state_hash"] for one in status["coordinators"]}
    check(len(hashes) == 1 and None not in hashes, f"the state hashes differ: {status}")
    checkEqual(rankPids(cluster.ranks("sample")), pids, "the ranks' processes")
    cluster.down()
    for id in ("co1", "co2", "co3"):
        rows = {one["request_id"]: one["index"] for one in cluster.store(id)}
        lost = [one for one in answers if rows.get(one["request_id"]) != one["index"]]
        checkEqual(lost, [], f"acknowledged requests that {id} does not have at their index")


def test_theLastBatchesAreWrittenAgain():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        answers = write(cluster, model, "before", 40)
        cluster.awaitOneIndex()
        with open_(cluster) as zookeeper:
            names = logNames(zookeeper)[-LOST:]
            paths = [f"{root(zookeeper)}/log/{name}" for name in names]
            bytes_ = {path: zookeeper.data(path)[1] for path in paths}
            for path in reversed(paths):
                zookeeper.delete(path)

            def writtenAgain():
                return {path: zookeeper.data(path)[1] for path in paths} == bytes_

            cluster.waitFor("the lost batches stand there again, byte for byte", writtenAgain)
        answers += write(cluster, model, "after", 20)
        checkWhole(cluster, pids, answers)


def test_aDamagedRecordIsRefusedAlarmedAndWrittenAgain():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        answers = write(cluster, model, "before", 40)
        status = cluster.awaitOneIndex()
        leader = status["leader"]["id"]
        reader = next(one["id"] for one in status["coordinators"] if one["id"] != leader)
        pid = cluster.kill(reader, signal.SIGSTOP)
        waitFor("the reader is stopped", lambda: state(pid) == "T")
        last = lastBatch(cluster)
        answers += write(cluster, model, "behind", 20)
        with open_(cluster) as zookeeper:
            path = f"{root(zookeeper)}/log/{last + 3:010d}"
            good = zookeeper.data(path)[1]
            zookeeper.set(path, good[:-5] + bytes([good[-5] ^ 4]) + good[-4:])
            os.kill(pid, signal.SIGCONT)
            # The reader, or the leader that compares its records if it happens to come there first.
            cluster.waitFor("the record is refused with an alarm",
                            lambda: any("log_corrupt" in cluster.logOf(id) for id in (reader, leader)))
            cluster.waitFor("the record is as it was", lambda: zookeeper.data(path)[1] == good)
        checkWhole(cluster, pids, answers)


def test_aStandbyWhoseStateDiffersMakesItAnew():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        answers = write(cluster, model, "before", 40)
        status = cluster.awaitOneIndex()
        standby = next(one["id"] for one in status["coordinators"] if one["stage"] == "standby")
        plantDivergence(cluster, standby)
        answers += write(cluster, model, "after", 100)
        cluster.waitFor("it says that its state differed", lambda: "state_diverged" in cluster.logOf(standby))
        cluster.waitFor("it drops its state", lambda: "dropped the state" in cluster.logOf(standby))
        checkWhole(cluster, pids, answers)


def test_aLeaderWhoseStateDiffersIsReplacedAndMakesItAnew():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        answers = write(cluster, model, "before", 40)
        status = cluster.awaitOneIndex()
        wrong = next(one["id"] for one in status["coordinators"] if one["stage"] == "standby")
        plantDivergence(cluster, wrong, "admin/")  # who made a deployment: nobody sets it right by chance

        def leads():
            cluster.cli("admin", "step-down", "--to", wrong)
            return cluster.status()["leader"]["id"] == wrong

        # Nothing is written until it leads, so nothing tells it that its state is wrong. Its peers may still take it
        # for gone and follow another at first.
        cluster.waitFor("it leads", leads)
        client = LoadClient(cluster, "after", model)
        cluster.waitFor("the others say that it is wrong", lambda: any(
            "leader_diverged" in cluster.logOf(id) for id in COORDINATORS if id != wrong))
        cluster.waitFor("it hands over", lambda: "has another state than this leader" in cluster.logOf(wrong))
        cluster.waitFor("it drops its state", lambda: "dropped the state" in cluster.logOf(wrong))
        cluster.waitFor("another leads", lambda: cluster.status()["leader"]["id"] not in ("", wrong))
        # The next leader's hash, behind some more changes, ends the alarms.
        cluster.waitFor("no alarm is left", lambda: not any(alarmsOf(cluster).values()))
        answers += client.end()
        checkWhole(cluster, pids, answers)


def supervisorPid(cluster):
    with open(f"/proc/{cluster.pid('co1')}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


class Paused:
    """While the supervisor is stopped nothing is started again."""

    def __init__(self, cluster):
        self.pid = supervisorPid(cluster)

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        waitFor("the supervisor is stopped", lambda: state(self.pid) == "T")

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def killAndWait(cluster, id):
    pid = cluster.kill(id)
    waitFor(f"{id} is dead", lambda: state(pid) in ("Z", None))


def plantDivergence(cluster, id, *text):
    """Changes one record in a stopped coordinator's store."""
    with Paused(cluster):
        killAndWait(cluster, id)
        subprocess.run([os.path.join(TEST_BIN, "muster-spoil-store"), os.path.join(cluster.dir, id, "store"), *text],
                       check=True)


def zookeeperFolders(cluster):
    return {id: os.path.join(cluster.dir, id, "data") for id in cluster.pids("zookeeper")}


def checkWritingStops(cluster, pids, alarm, words):
    """A clear word on every surface, no change accepted, ranks untouched, no coordinator restarted."""
    def said():
        answer = cluster.cli("cordon", "w1", "--timeout", "3s")
        check(answer.code == 7, f"a change was answered with {answer}")
        return answer if all(word in answer.err for word in words) else None

    print(cluster.waitFor(f"changes are refused with the words {words}", said).err)
    cluster.waitFor(f"every coordinator raises {alarm}",
                    lambda: all(alarm in alarms for alarms in alarmsOf(cluster).values()))
    checkEqual(cluster.cli("get", "deployments", "--stale", "--timeout", "3s").code, 0, "exit of a stale read")
    for pid, started in pids.values():
        checkEqual(startTime(pid), started, f"start of rank process {pid}")


def test_anOldCopyOfZookeeperStopsAllWriting():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        folders = zookeeperFolders(cluster)
        coordinators = cluster.pids("coordinator")
        servers = cluster.pids("zookeeper")
        for pid in servers.values():
            os.kill(pid, signal.SIGSTOP)
        for folder in folders.values():
            shutil.copytree(folder, folder + "-old")
        for pid in servers.values():
            os.kill(pid, signal.SIGCONT)
        first = lastBatch(cluster)
        write(cluster, model, "load", 40)
        waitForBatches(cluster, model, first + OLD_BATCHES)
        with Paused(cluster):
            for id, folder in folders.items():
                killAndWait(cluster, id)
                shutil.rmtree(folder)
                os.rename(folder + "-old", folder)
        checkWritingStops(cluster, pids, "zookeeper_old", ["old copy", "index", "Next:"])
        checkEqual(cluster.pids("coordinator"), coordinators, "the coordinators' processes")


def waitForBatches(cluster, model, batch):
    clients = [LoadClient(cluster, f"load{i}", model) for i in range(3)]
    waitFor(f"the log comes to batch {batch}", lambda: lastBatch(cluster) >= batch, patience=180)
    for client in clients:
        client.end()


def test_anEmptyZookeeperStopsAllWriting():
    with LocalCluster() as cluster:
        model, pids = deploy(cluster)
        write(cluster, model, "before", 20)
        coordinators = cluster.pids("coordinator")
        with Paused(cluster):
            for id, folder in zookeeperFolders(cluster).items():
                killAndWait(cluster, id)
                for name in os.listdir(folder):
                    if name.startswith("version-"):
                        shutil.rmtree(os.path.join(folder, name))
        checkWritingStops(cluster, pids, "zookeeper_empty", ["ZooKeeper is empty", "index", "Next:"])
        checkEqual(cluster.pids("coordinator"), coordinators, "the coordinators' processes")


if __name__ == "__main__":
    runTests("Loss", globals())
