#!/usr/bin/python3
"""Workers with GPUs, where a library of ours stands in for the driver's: what the cluster knows of them, and what
becomes of replicas when one is sick."""
import os

from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from processes import environmentOf
from sample import deployment, makeSmallModel, sleeper
from stand_in_gpus import StandInGpus, h100s


def cluster():
    return LocalCluster(workers=1, devices=1, flags=["--coordinators", 1])


def awaitGpus(one, gpus, count):
    def there():
        items = gpus.items()
        return items if len(items) == count and all(item["backend"] == "cuda" for item in items) else None

    one.waitFor("the schema level has risen", lambda: one.status()["schema_level"] >= 2)
    return one.waitFor(f"{count} GPUs are known", there)


def awaitPlace(one, device):
    def there():
        ranks = one.ranks("work")
        return ranks[0] if ranks and ranks[0]["phase"] == "Ready" and ranks[0]["devices"] == [device] else None

    return one.waitFor(f"work runs on GPU {device}", there)


def test_theClusterKnowsAWorkersGpus():
    with cluster() as one, StandInGpus(one, "w1", h100s(4)) as gpus:
        items = awaitGpus(one, gpus, 4)
        checkEqual([item["uuid"] for item in items], [f"GPU-{index}" for index in range(4)], "UUIDs")
        checkEqual({item["memory_bytes"] for item in items}, {(80 << 30) - (512 << 20)}, "memory")
        checkEqual({item["type"] for item in items}, {"H100"}, "types")
        checkEqual({item["island"] for item in items}, {0}, "islands")
        checkEqual(items[0]["product"], "NVIDIA H100 80GB HBM3", "product")
        checkEqual(items[0]["bus_id"], "0000:1b:00.0", "bus id")
        checkEqual(items[0]["driver"], "550.54.15", "driver")
        checkEqual({item["phase"] for item in items}, {"free"}, "phases")


def test_aReplicaLeavesASickGpuAndSaysWhyItWaits():
    with cluster() as one, StandInGpus(one, "w1", h100s(2)) as gpus:
        awaitGpus(one, gpus, 2)
        one.apply(sleeper("work", makeSmallModel(one.models), gpu="{type: [H100]}"), "--wait")
        first = one.ranks("work")[0]["devices"][0]
        environment = environmentOf(one.ranks("work")[0]["pid"])
        checkEqual((environment["CUDA_VISIBLE_DEVICES"], environment["CUDA_DEVICE_ORDER"]), (str(first), "PCI_BUS_ID"),
                   "what the program sees")

        gpus.change(first, xid=79)
        awaitPlace(one, 1 - first)
        sick = gpus.items()[first]
        checkEqual(sick["phase"], "unhealthy", "phase of the GPU")
        check("XID 79" in sick["message"], sick["message"])
        check(any(event["type"] == "GpuUnhealthy" for event in one.get("events")), "no event tells of the GPU")

        gpus.change(1 - first, state="lost")
        one.awaitPhase("work", "Pending")
        why = one.run("why", "work").out
        check("health" in why and ("XID 79" in why or "GPU is lost" in why), why)

        gpus.change(1 - first, state="ok")
        awaitPlace(one, 1 - first)
        one.run("delete", "work", "--yes")
        one.awaitGone("work")


def test_aNativeRankThatCannotUseItsGpuSaysWhatIsMissing():
    """The GPU is none, so CUDA, where this build has it, sees nothing of it."""
    with cluster() as one, StandInGpus(one, "w1", h100s(1)) as gpus:
        awaitGpus(one, gpus, 1)
        one.apply(deployment("llm", makeSmallModel(one.models), tp=1, pp=1))
        built = os.path.exists(os.path.join(one.bin, "libmuster_cuda.so"))
        missing = "CUDA sees no GPU in this process" if built else "libmuster_cuda.so beside muster-rank"
        error = "rank 0 (w1:0): GPU-0 cannot be used by the native engine: "

        def told():
            why = one.run("why", "llm").out
            return why if error in why and missing in why else None

        why = one.waitFor("the first error names what is missing", told)
        check("GpuUnhealthy" in why, why)
        logs = one.run("logs", "llm", "--first-error").out
        check("E0504: GPU-0 cannot be used by the native engine: " in logs, logs)
        one.run("delete", "llm", "--yes")
        one.awaitGone("llm")


def test_aWorkerWithNeitherGpusNorDevicesSaysSo():
    with cluster() as one:
        gpus = StandInGpus(one, "w1", [])  # the driver is not loaded: nothing was written
        gpus.start()
        checkEqual(gpus.process.wait(timeout=60), 3, "exit code")
        check("no device is declared and no GPU found" in one.logOf("w1"), one.logOf("w1"))


if __name__ == "__main__":
    runTests("Gpus", globals())
