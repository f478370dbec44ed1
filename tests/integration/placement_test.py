#!/usr/bin/python3
"""A real model, cut in four: every rank has read exactly its slices, and together they are the whole model."""
import collections
import os
import shutil

from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from processes import readCount, startTime
from safetensors import Model, checksum, overlap, volume
from sample import deployment, makeModel, makeSmallModel

RANK_FIELDS = {"tenant", "deployment", "replica", "rank", "generation", "phase", "node", "devices", "pid", "start_time",
               "bytes_loaded", "slices"}
SLICE_FIELDS = {"tensor", "file", "offset", "bytes", "shape", "ranges", "checksum"}
READ_SLACK = 16 << 20


def checkShape(ranks, tp, pp):
    checkEqual([rank["rank"] for rank in ranks], list(range(tp * pp)), "the ranks")
    for rank in ranks:
        check(RANK_FIELDS <= rank.keys(), f"rank {rank['rank']} lacks {RANK_FIELDS - rank.keys()}")
        checkEqual(rank["phase"], "Ready", f"the phase of rank {rank['rank']}")
        checkEqual(len(rank["devices"]), 1, f"the devices of rank {rank['rank']}")
        checkEqual(startTime(rank["pid"]), rank["start_time"], f"the start time of rank {rank['rank']}")
        checkEqual(rank["bytes_loaded"], sum(one["bytes"] for one in rank["slices"]), "bytes_loaded")
        for one in rank["slices"]:
            checkEqual(set(one), SLICE_FIELDS, f"the fields of a slice of {one['tensor']}")
    taken = [(rank["node"], device) for rank in ranks for device in rank["devices"]]
    checkEqual(len(set(taken)), len(taken), "devices that are held once")


def checkSlice(model, one):
    tensor = model.tensors[one["tensor"]]
    data = model.bytesOf(one["tensor"], one["ranges"])
    shape = [end - begin for begin, end in one["ranges"]]
    position = next(tensor.runs(one["ranges"]))[0]
    checkEqual((one["file"], one["offset"], one["bytes"], one["shape"], one["checksum"]),
               (tensor.file, position, len(data), shape, checksum(data)), f"slice of {one['tensor']}")


def checkWhole(model, ranks):
    """Each element of each tensor lies in one distinct slice; only norms are held by several ranks."""
    held = collections.defaultdict(list)
    for rank in ranks:
        for one in rank["slices"]:
            held[one["tensor"]].append(one["ranges"])
    checkEqual(set(held), set(model.tensors), "the tensors that are loaded")
    for name, slices in held.items():
        distinct = [list(map(list, one)) for one in {tuple(map(tuple, ranges)) for ranges in slices}]
        checkEqual(sum(map(volume, distinct)), volume([[0, end] for end in model.tensors[name].shape]),
                   f"elements of {name} that are loaded")
        for i, one in enumerate(distinct):
            check(not any(overlap(one, other) for other in distinct[:i]), f"slices of {name} overlap")
        check(len(distinct) == len(slices) or "norm" in name, f"{name} is held {len(slices)} times, which nobody wants")


def checkReads(ranks):
    for rank in ranks:
        read, loaded = readCount(rank["pid"]), rank["bytes_loaded"]
        check(loaded <= read <= loaded * 1.05 + READ_SLACK, f"rank {rank['rank']} read {read} bytes to load {loaded}")


def deploy(cluster, path, tp, pp):
    cluster.apply(deployment("sample", path, tp, pp), "--wait")
    ranks = cluster.ranks("sample")
    checkShape(ranks, tp, pp)
    return ranks


def checkLoaded(path, ranks):
    model = Model(path)
    for rank in ranks:
        for one in rank["slices"]:
            checkSlice(model, one)
    checkWhole(model, ranks)
    checkReads(ranks)


def remove(cluster):
    cluster.run("delete", "sample", "--yes")
    cluster.awaitGone("sample")


def hidden(cluster):
    """A folder of programs whose coordinators live where the models' path is empty."""
    folder = os.path.join(cluster.root, "bin")
    os.mkdir(folder)
    for name in ("muster", "muster-gateway", "muster-worker", "muster-rank"):
        shutil.copy(os.path.join(cluster.bin, name), folder)
    unshare = "unshare --mount" if os.getuid() == 0 else "unshare --mount --map-root-user"
    with open(os.path.join(folder, "muster-coordinator"), "w") as script:
        script.write(f"""#!/bin/sh
exec {unshare} sh -c 'mount -t tmpfs none "{cluster.models}" && exec "{cluster.bin}/muster-coordinator" "$@"' - "$@"
""")
    os.chmod(script.name, 0o755)
    cluster.bin = folder
    return cluster


def coordinatorsSee(cluster, path):
    return [id for id, pid in cluster.pids("coordinator").items() if os.path.exists(f"/proc/{pid}/root{path}")]


def test_coordinatorsThatCannotSeeTheModelPlaceAHundredMillionParameters():
    with hidden(LocalCluster(deviceMemory="1GiB")) as cluster:
        path = makeModel(os.path.join(cluster.models, "sample"))
        checkEqual(coordinatorsSee(cluster, path), [], "coordinators that see the model")
        checkLoaded(path, deploy(cluster, path, 2, 2))


def test_everyCutOfASmallModelIsTheWholeModel():
    with LocalCluster() as cluster:
        path = makeSmallModel(cluster.models)
        for tp, pp in [(1, 1), (1, 4), (2, 1)]:
            checkLoaded(path, deploy(cluster, path, tp, pp))
            remove(cluster)


def flip(model, name):
    """Flips one bit in the middle of a tensor; gives the position of its byte."""
    tensor = model.tensors[name]
    position = tensor.begin + volume([[0, end] for end in tensor.shape]) * tensor.element // 2
    with open(os.path.join(model.folder, tensor.file), "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))
    return position


def holders(model, ranks, name, position):
    """The ranks with a slice that has this byte, by the reader of these tests."""
    return {rank["rank"] for rank in ranks for one in rank["slices"] if one["tensor"] == name
            and any(begin <= position < begin + length for begin, length in model.tensors[name].runs(one["ranges"]))}


def changed(before, after):
    """{(rank, tensor)} with another checksum."""
    return {(old["rank"], a["tensor"]) for old, new in zip(before, after) for a, b in zip(old["slices"], new["slices"])
            if a["checksum"] != b["checksum"]}


def test_aFlippedByteChangesTheChecksumsOfExactlyTheRanksThatHoldIt():
    with LocalCluster() as cluster:
        path = makeSmallModel(cluster.models)
        model = Model(path)
        before = deploy(cluster, path, 2, 2)
        for name in ("model.layers.2.mlp.down_proj.weight", "model.norm.weight"):
            position = flip(model, name)
            remove(cluster)
            after = deploy(cluster, path, 2, 2)
            wanted = holders(model, after, name, position)
            check(wanted, f"nobody holds {name}")
            checkEqual(changed(before, after), {(rank, name) for rank in wanted}, f"checksums changed with {name}")
            before = after


if __name__ == "__main__":
    runTests("Placement", globals())
