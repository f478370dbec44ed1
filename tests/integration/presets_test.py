#!/usr/bin/python3
"""Engines that a deployment names by one word, with programs in their place that take what the real ones take."""
import json
import os
import stat

from endpoint import Endpoint
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from processes import listeningAddresses
from sample import makeSmallModel

SUPPORT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support/python"))
PROGRAMS = ("vllm", "llama-server", "rpc-server", "torchrun")


class Engines:
    """A folder of programs, and one of what they were started with."""

    def __init__(self, cluster):
        cluster.waitFor("all coordinators know presets", lambda: cluster.status()["schema_level"] >= 2)
        self.bin, self.records = (os.path.join(cluster.root, name) for name in ("engines", "records"))
        os.mkdir(self.records)
        os.makedirs(os.path.join(self.bin, "sglang"))
        for name in PROGRAMS:
            self.write(name, "#!/usr/bin/python3\n"
                             f"import sys\nsys.path.insert(0, {SUPPORT!r})\nsys.dont_write_bytecode = True\n"
                             f"import stand_in_engine\nstand_in_engine.main({name!r}, sys.argv[1:])\n")
        self.write("sglang/__init__.py", "")
        self.write("sglang/launch_server.py",
                   f"import sys\nsys.path.insert(0, {SUPPORT!r})\nsys.dont_write_bytecode = True\n"
                   "import stand_in_engine\nstand_in_engine.main('sglang.launch_server', sys.argv[1:])\n")

    def write(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def document(self, name, model, engine, parallel, more=""):
        env = f'{{PATH: "{self.bin}:/usr/bin:/bin", PYTHONPATH: "{self.bin}", STAND_IN_RECORDS: "{self.records}"}}'
        return (f"version: 1\nname: {name}\nmodel: file:{model}\nparallel: {parallel}\n"
                f"engine: {{kind: {engine}, env: {env}{more}}}\n")

    def record(self, name, rank):
        with open(os.path.join(self.records, f"{name}-0-{rank}.json")) as file:
            return json.load(file)


def checkAsPlanned(engines, planned, name):
    """Each process was started with the words that the plan had shown, ports in the place of their names."""
    rows = planned["deployments"][0]["commands"]
    records = [engines.record(name, row["rank"]) for row in rows]
    ports = {"$MUSTER_PORT": "MUSTER_PORT"}
    for row, seen in zip(rows, records):
        words = seen["words"]
        shown = row["argv"][len(row["argv"]) - len(words):]
        for wanted, got in zip(shown, words):
            if "$" not in wanted:
                checkEqual(got, wanted, f"a word of {name}/0/{row['rank']}")
            elif wanted in ports:
                checkEqual(got, seen["env"][ports[wanted]], f"the port of {name}/0/{row['rank']}")
        for variable in ("CUDA_VISIBLE_DEVICES", "MUSTER_WORLD_SIZE", "MUSTER_TENSOR_PARALLEL"):
            checkEqual(seen["env"][variable], row["env"][variable], f"{variable} of {name}/0/{row['rank']}")
    return records


def deploy(cluster, engines, document, name, ranks, devices):
    planned = cluster.run("plan", "--show-commands", "-o", "json", "-", stdin=document).json()
    cluster.apply(document, "--wait")
    rows = cluster.ranks(name)
    checkEqual([(row["rank"], len(row["devices"])) for row in rows], [(i, devices) for i in range(ranks)],
               f"ranks of {name} and their devices")
    checkEqual(len({row["node"] for row in rows}), ranks, f"nodes of {name}")
    return checkAsPlanned(engines, planned, name)


def checkChats(cluster, name):
    answer = cluster.run("chat", name, "say something")
    check("a stand-in speaks" in answer.out, f"the answer of {name}: {answer}")


def complete(endpoint):
    return endpoint.post("/v1/chat/completions",
                         {"model": endpoint.model, "messages": [{"role": "user", "content": "say something"}]})


def checkIsBehindTls(cluster, name, record):
    """What is announced wants a gateway's certificate; the engine itself can be reached on loopback alone."""
    gateway = Endpoint(cluster, name)
    check(gateway.url.startswith("https://"), f"{name} is announced at {gateway.url}")
    checkEqual(complete(gateway).status, 200, f"what a gateway is answered by {name}")
    for identity in (None, "viewer-anna"):
        try:
            answer = complete(Endpoint(cluster, name, identity)).status
        except OSError:  # an alert, a reset or an end without an answer
            continue
        raise AssertionError(f"{name} answered {identity}: {answer}")
    checkEqual(listeningAddresses(int(record["env"]["MUSTER_PORT"])), {"127.0.0.1"}, f"where the engine of {name} listens")


def remove(cluster, name):
    cluster.run("delete", name, "--yes")
    cluster.awaitGone(name)


def serveAndRemove(cluster, engines, document, name, ranks, devices):
    records = deploy(cluster, engines, document, name, ranks, devices)
    checkChats(cluster, name)
    checkIsBehindTls(cluster, name, records[0])
    remove(cluster, name)
    return records


def test_enginesNamedByOneWordServeOnOneNodeAndOnTwo():
    with LocalCluster(workers=2, deviceType="H100") as cluster:
        engines, model = Engines(cluster), makeSmallModel(cluster.models)
        for kind in ("vllm", "sglang"):
            serveAndRemove(cluster, engines, engines.document(f"{kind}-1", model, kind, "{tp: 2, pp: 1}"), f"{kind}-1", 1, 2)
            serveAndRemove(cluster, engines, engines.document(f"{kind}-2", model, kind, "{tp: 2, pp: 2}"), f"{kind}-2", 2, 2)
        file = os.path.join(model, "small.gguf")
        with open(file, "w") as gguf:
            gguf.write("GGUF")
        one, two = (engines.document(f"llama-{n}", file, "llama.cpp", f"{{pp: {n * 2}}}") for n in (1, 2))
        serveAndRemove(cluster, engines, one, "llama-1", 1, 2)
        records = serveAndRemove(cluster, engines, two, "llama-2", 2, 2)
        checkEqual([record["program"] for record in records], ["llama-server", "rpc-server"], "programs of llama.cpp")


def test_torchrunStartsTheScriptOnceForEachDevice():
    with LocalCluster(workers=2) as cluster:
        engines, model = Engines(cluster), makeSmallModel(cluster.models)
        script = os.path.join(cluster.root, "script.py")
        with open(script, "w") as file:
            file.write("import os, signal, sys\nprint('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], sys.argv[1],"
                       " flush=True)\nsignal.pause()\n")
        more = f", command: [{script}, --go], ready: {{log: of 4 --go}}"
        deploy(cluster, engines, engines.document("torch", model, "torchrun", "{tp: 2, pp: 2}", more), "torch", 2, 2)
        said = {row["rank"]: cluster.run("logs", f"torch/0/{row['rank']}").out for row in cluster.ranks("torch")}
        for rank in range(4):
            cluster.waitFor(f"script {rank} has spoken",
                            lambda rank=rank: f"rank {rank} of 4 --go" in cluster.run("logs", f"torch/0/{rank // 2}").out)
        check(said, "logs")
        remove(cluster, "torch")


def test_anArgumentThatTheEngineDoesNotKnowIsToldAsItsFirstError():
    with LocalCluster(workers=1, deviceType="H100") as cluster:
        engines, model = Engines(cluster), makeSmallModel(cluster.models)
        cluster.apply(engines.document("chat", model, "vllm", "{tp: 1, pp: 1}", ", args: {no-such-option: 1}"))
        cluster.waitFor("its first error is told", lambda: "unrecognized arguments: --no-such-option=1" in cluster.run(
            "logs", "chat", "--first-error").out)
        remove(cluster, "chat")


def test_aProgramThatIsNotThereIsNamedWithWhatToDo():
    with LocalCluster(workers=1, deviceType="H100") as cluster:
        engines, model = Engines(cluster), makeSmallModel(cluster.models)
        os.remove(os.path.join(engines.bin, "vllm"))
        cluster.apply(engines.document("chat", model, "vllm", "{tp: 1, pp: 1}"))
        wanted = f'cannot start: "vllm" is not in PATH of the worker (PATH={engines.bin}:/usr/bin:/bin)'
        for words in (("why", "chat"), ("logs", "chat", "--first-error")):
            cluster.waitFor(f"{words} tells it", lambda words=words: wanted in cluster.run(*words).out)
            told = cluster.run(*words).out
            check(".cpp" not in told, f"{words} speaks of our source: {told}")
        check("help: install it on the worker, or say where it is: engine: {kind: vllm, env: {PATH:" in told,
              f"the first error says what to do: {told}")
        remove(cluster, "chat")


def test_anEngineForGpusIsRefusedOnCpusAndOneForBothServesThere():
    with LocalCluster(workers=1) as cluster:
        engines, model = Engines(cluster), makeSmallModel(cluster.models)
        for kind in ("vllm", "sglang"):
            document = engines.document("chat", model, kind, "{tp: 2, pp: 1}")
            for words in (("plan", "-"), ("apply", "-")):
                refused = cluster.cli(*words, stdin=document)
                checkEqual(refused.code, 8, f"{words} of {kind} on CPUs: {refused}")
                for told in ("E0403", f"engine {kind} needs GPUs, and there is none among w1: cpu 256MiB",
                             "engine: native computes on CPUs", "engine: llama.cpp"):
                    check(told in refused.err + refused.out, f"{words} of {kind} says {told}: {refused}")
        file = os.path.join(model, "small.gguf")
        with open(file, "w") as gguf:
            gguf.write("GGUF")
        record = serveAndRemove(cluster, engines, engines.document("llama", file, "llama.cpp", "{pp: 2}"), "llama", 1, 2)[0]
        checkEqual(record["env"]["CUDA_VISIBLE_DEVICES"], "", "the GPUs that a rank on CPUs sees")


if __name__ == "__main__":
    runTests("Presets", globals())
