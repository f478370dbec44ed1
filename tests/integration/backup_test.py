#!/usr/bin/python3
"""Backup, restore and time travel with real processes: the same state hash, and ranks that notice nothing."""
import os
import re
import signal
import subprocess

from facts import check, checkEqual, runTests
from local_cluster import LocalCluster, rankPids
from processes import startTime
from sample import makeSmallModel, sleeper
from waiting import waitFor

COORDINATORS = ("co1", "co2", "co3")


def backUp(cluster, path, *flags):
    return cluster.run("admin", "backup", path, "-o", "json", *flags).json()


def names(cluster):
    return {row["name"] for row in cluster.get("deployments")}


def history(cluster, at, *words):
    return cluster.run("admin", "history", "--at", str(at), *words, "-o", "json").json()


def stopCoordinators(cluster):
    """They are not restarted: the cluster was brought up so."""
    pids = [cluster.kill(id, signal.SIGTERM) for id in COORDINATORS]
    waitFor("the coordinators have ended", lambda: all(startTime(pid) is None for pid in pids))


def restore(cluster, *words):
    config = os.path.join(cluster.dir, "co2", "coordinator.toml")
    return cluster.cli("admin", "restore", "--config", config, *words)


def clusterName(cluster):
    return cluster.status()["cluster"]


def settled(cluster, number):
    """All coordinators live in the history of that number, with one hash."""
    def there():
        status = cluster.cli("admin", "status", "-o", "json")
        return status.code == 0 and status.json()["history"].startswith(f"{number}-") and status.json()["leader"]["id"]

    cluster.waitFor(f"history {number} has a leader", there)
    status = cluster.awaitOneIndex()
    checkEqual(len({row["state_hash"] for row in status["coordinators"]}), 1, "state hashes at one index")
    return status


def test_aBackupGivesBackTheStateItWasMadeOf():
    with LocalCluster(flags=("--restart", "zookeeper")) as cluster:
        model = makeSmallModel(cluster.models)
        name = clusterName(cluster)
        cluster.apply(sleeper("kept", model), "--wait")
        path = os.path.join(cluster.root, "backup")
        made = backUp(cluster, path)
        checkEqual(os.stat(path).st_mode & 0o777, 0o600, "the mode of the backup")
        checkEqual(cluster.run("admin", "backup", "--verify", path, "-o", "json").json(), made, "what --verify says")

        cluster.apply(sleeper("later", model), "--wait")
        later = rankPids(cluster.ranks("later"))
        past = history(cluster, made["index"])
        checkEqual(past["state_hash"], made["state_hash"], "the state hash by replay")
        checkEqual({row["name"] for row in past["items"]}, {"kept"}, "deployments as they were")
        now = history(cluster, made["made_at"])
        check(now["index"] >= made["index"], f"index {now['index']} at the time of the backup of {made['index']}")
        checkEqual({row["name"] for row in now["items"]}, {"kept"}, "deployments at the time of the backup")
        checkEqual(history(cluster, 1)["items"], [], "deployments after the first command")
        checkEqual(cluster.cli("admin", "history", "--at", "99999999").code, 4, "exit code behind the end of the log")
        check("kept" in cluster.run("admin", "history", "--at", str(made["index"])).out, "the table names it")

        running = restore(cluster, path, "--yes-cluster", name)
        check(running.code == 1 and "E0710" in running.err, f"a restore beside a coordinator: {running}")
        pids = rankPids(cluster.ranks("kept"))
        stopCoordinators(cluster)
        wrong = restore(cluster, path, "--yes-cluster", "another")
        check(wrong.code == 2 and "another" in wrong.err, f"the wrong name: {wrong}")
        unasked = restore(cluster, path)
        check(unasked.code == 2 and "--yes-cluster" in unasked.err, f"nobody to ask: {unasked}")
        done = restore(cluster, path, "--yes-cluster", name)
        check(done.code == 0, repr(done))
        checkEqual(re.search(r"state hash (\w+)", done.out)[1], made["state_hash"], "the restored state hash")
        cluster.up()
        settled(cluster, 2)
        checkEqual(names(cluster), {"kept"}, "deployments after the restore")
        cluster.awaitPhase("kept", "Ready")
        checkEqual(rankPids(cluster.ranks("kept")), pids, "the ranks that the backup knew")
        waitFor("the ranks that the backup did not know have ended",
                lambda: all(startTime(pid) is None for pid, _ in later.values()))
        cluster.apply(sleeper("after", model), "--wait")
        checkEqual(names(cluster), {"kept", "after"}, "deployments of the new history")
        cluster.awaitGone("later")


def stopServer(cluster, id):
    """Ends that ZooKeeper server and gives how it is started."""
    with open(f"/proc/{cluster.pid(id)}/cmdline", "rb") as file:
        argv = [word.decode() for word in file.read().split(b"\0")[:-1]]
    folder = os.readlink(f"/proc/{cluster.pid(id)}/cwd")
    pid = cluster.kill(id)
    waitFor(f"{id} has ended", lambda: startTime(pid) is None)
    return argv, folder


def test_aStandbysStoreBringsTheClusterBackWhenZookeeperLostEverything():
    with LocalCluster(flags=("--restart", "gateway")) as cluster:
        model = makeSmallModel(cluster.models)
        name = clusterName(cluster)
        cluster.apply(sleeper("kept", model), "--wait")
        pids = rankPids(cluster.ranks("kept"))
        before = cluster.awaitOneIndex()["coordinators"][0]
        stopCoordinators(cluster)
        argv, folder = stopServer(cluster, "zk1")
        lost = subprocess.run(["find", os.path.join(cluster.dir, "zk1"), "-path", "*version-2*", "-type", "f",
                               "-print", "-delete"], check=True, capture_output=True, text=True).stdout
        check("log." in lost, f"ZooKeeper's data were not found: {lost}")
        with open(os.path.join(cluster.root, "zk.log"), "w") as log:
            zookeeper = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
        done = restore(cluster, "--from-standby", "--yes-cluster", name)
        check(done.code == 0, repr(done))
        restored = re.search(r"as of index (\d+): .*state hash (\w+)", done.out)
        check(int(restored[1]) >= before["applied_index"], f"index {restored[1]} after {before}")
        if int(restored[1]) == before["applied_index"]:
            checkEqual(restored[2], before["state_hash"], "the restored state hash")
        zookeeper.kill()
        zookeeper.wait()
        cluster.up()
        settled(cluster, 2)
        checkEqual(names(cluster), {"kept"}, "deployments after the restore")
        cluster.awaitPhase("kept", "Ready")
        checkEqual(rankPids(cluster.ranks("kept")), pids, "the ranks")


def test_whatIsWrongWithABackupIsSaid():
    with LocalCluster(workers=1) as cluster:
        path = os.path.join(cluster.root, "backup")
        cluster.run("admin", "backup", path)
        again = cluster.cli("admin", "backup", path)
        check(again.code == 2 and "--force" in again.err, f"a file that is there: {again}")
        cluster.run("admin", "backup", path, "--force")
        cluster.run("admin", "backup", path, "--force", "--stale")
        for role, who in (("worker", "w1"), ("coordinator", "co1")):
            denied = cluster.cli("admin", "backup", os.path.join(cluster.root, role),
                                 context=cluster.contextAs(role, who))
            check(denied.code == 6, f"{role}: {denied}")
            check(not os.path.exists(os.path.join(cluster.root, role)), "a refused backup leaves no file")
        with open(path, "rb") as file:
            whole = file.read()
        damaged = os.path.join(cluster.root, "damaged")
        for text, bytes in (("cut short", whole[:-1]), ("damaged", whole[:200] + b"?" + whole[201:]),
                            ("no backup", b"nothing of the kind"), ("format 9", whole[:8] + b"\x09" + whole[9:])):
            with open(damaged, "wb") as file:
                file.write(bytes)
            for words in (("backup", "--verify", damaged), ("restore", damaged, "--yes-cluster", "x")):
                answer = cluster.cli("admin", *words)
                check(answer.code == 3 and text in answer.err, f"{text}: {answer}")


if __name__ == "__main__":
    runTests("Backup", globals())
