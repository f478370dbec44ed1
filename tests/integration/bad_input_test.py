#!/usr/bin/python3
"""Everything that users and disks get wrong: what is said, with which exit code, and that nothing half done is left."""
import os
import re
import signal

import bad_models as bad
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from sample import deployment, makeSmallModel, sleeper


def checkRefused(answer, code, exit, *texts):
    """An error in the style of the contract: a code, then what and why; nothing on stdout. Progress may come before."""
    check(answer.code == exit, f"wanted exit {exit}: {answer}")
    check(re.search(rf"^error\[{code}\]: \S", answer.err, re.M), f"wanted error[{code}]: {answer}")
    for text in texts:
        check(text in answer.err, f"it does not say {text!r}: {answer}")
    for bad in ("Exception", "stack:", ".cpp:", "!"):
        check(bad not in answer.err, f"it says {bad!r}: {answer}")
    checkEqual(answer.out, "", "stdout of a refused command")


# (how the model is damaged, code, exit code, what the message names)
BAD_MODELS = [
    (bad.noConfig, "E0121", 3, "config.json"),
    (bad.brokenConfig, "E0121", 3, "config.json"),
    (bad.unknownArchitecture, "E0122", 3, "UnheardOfForCausalLM"),
    (bad.truncated, "E0123", 3, bad.FIRST),
    (bad.cutInHeader, "E0123", 3, bad.FIRST),
    (bad.overlapping, "E0123", 3, bad.FIRST),
    (bad.outOfFile, "E0123", 3, bad.FIRST),
    (bad.hugeHeader, "E0123", 3, bad.FIRST),
    (bad.missingFile, "E0123", 3, bad.FIRST),
    (bad.indexLeadsOut, "E0124", 3, "../" + bad.FIRST),
    (bad.fileLeadsOut, "E0124", 3, bad.FIRST),
    (bad.onlyPickle, "E0125", 3, "pytorch_model.bin"),
]


def checkModelRefused(cluster, path, code, exit, text):
    for command in ("apply", "plan"):
        checkRefused(cluster.cli(command, "-", stdin=deployment("bad", path)), code, exit, text)
    checkEqual(cluster.get("deployments"), [], f"deployments after {path} was refused")


def test_aDamagedModelIsRefusedAtOnceAndNamed():
    with LocalCluster(workers=2) as cluster:
        for damage, code, exit, text in BAD_MODELS:
            path = makeSmallModel(cluster.models, damage.__name__)
            damage(path)
            checkModelRefused(cluster, path, code, exit, text)
        outside = makeSmallModel(cluster.root, "outside")
        os.symlink(outside, os.path.join(cluster.models, "link"))
        for path, code, text in [(os.path.join(cluster.models, "nothing"), "E0120", "nothing"),
                                 (os.path.join(cluster.models, "link"), "E0124", "link"),
                                 (os.path.join(cluster.models, "../outside"), "E0124", "outside"),
                                 (outside, "E0124", "outside"), ("relative/path", "E0105", "relative/path")]:
            checkModelRefused(cluster, path, code, 3, text)
        good = makeSmallModel(cluster.models, "good")
        cluster.apply(deployment("good", good, 1, 1), "--wait")


BAD_DOCUMENTS = [
    ("version: 1\nname: a\nmodel: file:/m\nparalell: {tp: 8}\n", "E0104", 3, ["4 | paralell", 'did you mean "parallel"',
                                                                          "stdin:4:1"]),
    ("version: 1\nname: a\nname: b\nmodel: file:/m\n", "E0102", 3, ["name"]),
    ("version: 1\nname: a\nmodel: file:/m\npriority: yes\n", "E0103", 3, ["yes"]),
    ("version: 1\nname: a\nmodel: file:/m\nreplicas: two\n", "E0105", 3, ["replicas"]),
    ("version: 1\nname: A_b\nmodel: file:/m\n", "E0109", 3, ["A_b"]),
    ("version: 1\nmodel: file:/m\n", "E0106", 3, ["name"]),
    ("version: 1\nname: a\nmodel: file:/m\nslo: {ttft_p95: 1s}\n", "E0107", 3, ["slo", "not supported yet"]),
    ("version: 1\nname: [a\n", "E0101", 3, []),
]


def test_aWrongDocumentIsRefusedWithItsPlace():
    with LocalCluster(workers=1) as cluster:
        for text, code, exit, words in BAD_DOCUMENTS:
            checkRefused(cluster.cli("apply", "-", stdin=text), code, exit, *words)
        both = cluster.cli("apply", "-", stdin="version: 1\nname: A_b\nmodel: file:/m\nreplica: 1\n")
        check(both.code == 3 and "E0109" in both.err and "E0104" in both.err, f"all errors at once: {both}")
        checkEqual(cluster.get("deployments"), [], "deployments")


def test_unknownWordsGetASuggestion():
    with LocalCluster(workers=1) as cluster:
        for words, meant in [(("aply", "-"), "apply"), (("get", "node"), "nodes"), (("apply", "--wiat", "-"), "--wait"),
                             (("admin", "statsu"), "status")]:
            answer = cluster.cli(*words)
            check(answer.code == 2 and "did you mean" in answer.err and meant in answer.err, f"{answer}")
        for words in (("why", "nothing"), ("delete", "nothing", "--yes"), ("scale", "nothing", "--replicas", "2", "--yes"),
                      ("cordon", "w9")):
            checkRefused(cluster.cli(*words), "E0304", 4, words[1])


def test_whatNeverFitsIsRefusedAndWhatDoesNotFitNowWaits():
    with LocalCluster(workers=2) as cluster:
        model = makeSmallModel(cluster.models)
        never = cluster.cli("apply", "-", stdin=deployment("wide", model, 2, 4))
        checkRefused(never, "E0402|E0404|E0401", 8, "w1", "w2")
        checkRefused(cluster.cli("apply", "-", stdin=deployment("odd", model, 3, 1)), "E0126", 3)
        checkEqual(cluster.get("deployments"), [], "deployments after a refusal")
        cluster.apply(sleeper("holder", model, 3), "--wait")
        waits = cluster.cli("apply", "--wait", "--timeout", "2s", "-", stdin=deployment("late", model, 2, 1))
        checkEqual(waits.code, 9, f"exit code: {waits}")
        cluster.awaitPhase("late", "Pending")
        why = cluster.run("why", "late", "-o", "json").json()
        checkEqual((why["phase"], why["reason"], why["code"]), ("Pending", "WaitingForCapacity", "E0401"), "why")
        checkEqual({row["node"] for row in why["verdicts"]}, {"w1", "w2"}, "nodes that why judges")
        text = cluster.run("why", "late").out
        for word in ("w1", "w2", "holder", "fix"):
            check(word in text, f"why does not say {word!r}:\n{text}")
        cluster.run("delete", "holder", "--yes")
        cluster.awaitPhase("late", "Ready")


def staleAge(cluster):
    """Seconds since the answer to a stale read was last known to be the newest."""
    answer = cluster.run("get", "nodes", "--stale")
    return int(re.search(r"known to be the newest (\d+)s ago", answer.err).group(1))


def test_withoutALeaderCommandsSayOnWhomTheyWaited():
    with LocalCluster(workers=1) as cluster:
        cluster.kill("zk1", signal.SIGSTOP)
        try:
            answer = cluster.waitFor("no leader answers", lambda: next(
                one for one in [cluster.cli("get", "nodes", "--timeout", "1s")] if one.code != 0))
            checkRefused(answer, "E070[159]", 7, "co1")
            cluster.waitFor("a stale read is seconds old", lambda: staleAge(cluster) >= 3)
            ages = [staleAge(cluster) for _ in range(10)]
            check(min(ages) >= 2, f"ages of stale reads, from whichever coordinator: {ages}")
        finally:
            cluster.kill("zk1", signal.SIGCONT)
        cluster.waitFor("commands are answered again", lambda: cluster.cli("get", "nodes").code == 0)
        for id in ("co1", "co2", "co3"):
            cluster.kill(id, signal.SIGSTOP)
        checkRefused(cluster.cli("ps", "--timeout", "1s"), "E0701", 7, "does not answer")
        for id in ("co1", "co2", "co3"):
            cluster.kill(id, signal.SIGCONT)


def test_theSecondOfTwoClientsIsToldOfTheFirst():
    with LocalCluster(workers=1) as cluster:
        model = makeSmallModel(cluster.models)
        cluster.apply(sleeper("mine", model, replicas=0))
        cluster.apply(sleeper("mine", model, replicas=1), "--if-revision", "1")
        late = cluster.cli("apply", "--if-revision", "1", "-", stdin=sleeper("mine", model, replicas=2))
        checkRefused(late, "E0301", 5, "mine")
        checkEqual(cluster.deployment("mine")["revision"], 2, "the revision")
        checkRefused(cluster.cli("apply", "p-0000"), "E0302", 5)


def test_noWorkerToInspectAModelIsExit8():
    with LocalCluster(workers=1) as cluster:
        model = makeSmallModel(cluster.models)
        cluster.kill("w1", signal.SIGTERM)
        cluster.waitFor("no worker is attached", lambda: not cluster.get("nodes")[0]["status"]["attached"])
        checkRefused(cluster.cli("apply", "-", stdin=deployment("sample", model)), "E0405", 8)


if __name__ == "__main__":
    runTests("BadInput", globals())
