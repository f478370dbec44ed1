#!/usr/bin/python3
"""Requests through the gateway of a real cluster, without end, while the cluster changes under them: none fails.

MUSTER_NO_COORDINATORS_S: how long all coordinators are stopped (default 60).
"""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from facts import Skip, check, checkEqual, runTests
from gateway_process import Answer, readAnswer
from local_cluster import LocalCluster
from sample import deployment
from waiting import waitFor

AWAY_S = float(os.environ.get("MUSTER_NO_COORDINATORS_S", "60"))
HERE = os.path.dirname(os.path.abspath(__file__))
SPEAKING = os.path.join(HERE, "../../models/sample")
SERVER = os.path.join(HERE, "../support/python/stand_in_server.py")


def standIn(cluster, name, replicas, **env):
    model = os.path.join(cluster.models, "any")
    os.makedirs(model, exist_ok=True)
    settings = ", ".join(f'{key}: "{value}"' for key, value in env.items())
    return (f"version: 1\nname: {name}\nmodel: file:{model}\ngpus: 1\nreplicas: {replicas}\n"
            f"engine: {{kind: process, command: [/usr/bin/python3, -B, {os.path.abspath(SERVER)}], env: {{{settings}}}, "
            f"ready: {{http: /health}}}}\nplacement: {{spread: node}}\ntimeouts: {{drain: 20s}}\n")


class Front:
    """The gateway of a local cluster."""

    def __init__(self, cluster):
        host, port = cluster.process("gw1")["addresses"]["http"].rsplit(":", 1)
        self.address = host, int(port)

    def url(self):
        return "http://%s:%d/v1" % self.address

    def ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else b""
        with socket.create_connection(self.address, timeout=60) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
                               f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
            return readAnswer(connection)

    def complete(self, model="chat", **fields):
        return self.ask("POST", "/v1/chat/completions",
                        {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields})


def served(cluster):
    """The gateway of a cluster that serves "chat"."""
    cluster.apply(standIn(cluster, "chat", 1), "--wait")
    front = Front(cluster)
    cluster.waitFor("the gateway routes it", lambda: front.complete().status == 200)
    return front


class Load:
    """Clients that ask without end; every other request is a stream, some are slow."""

    def __init__(self, front, clients=6):
        self.front, self.stopped, self.answers, self.failures = front, False, 0, []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for one in self.threads:
            one.start()

    def run(self, number):
        turn = 0
        while not self.stopped:
            turn += 1
            fields = {"stream": (turn + number) % 2 == 0, "slow": 0.2 if turn % 7 == 0 else 0}
            try:
                answer = self.front.complete(**fields)
            except OSError as error:
                answer = Answer(0, {}, str(error).encode(), False)
            whole = answer.ended and (not fields["stream"] or b"[DONE]" in answer.body)
            if answer.status != 200 or not whole:
                self.failures.append((time.monotonic(), answer))
            self.answers += 1

    def more(self, count=30):
        start = self.answers
        waitFor(f"{count} more requests are answered", lambda: self.answers >= start + count)

    def end(self):
        self.stopped = True
        for one in self.threads:
            one.join()
        checkEqual(self.failures, [], "failed requests")
        return self.answers


def generations(cluster):
    return {one["replica"]: one["generation"] for one in cluster.get("replicas", "chat")}


def test_noRequestFailsWhileReplicasComeGoAndAreReplaced():
    with LocalCluster(workers=3, devices=3) as cluster:
        cluster.apply(standIn(cluster, "chat", 2), "--wait")
        front = Front(cluster)
        cluster.waitFor("the gateway routes it", lambda: front.complete().status == 200)
        load = Load(front)
        load.more()

        cluster.run("scale", "chat", "--replicas", "3")
        cluster.awaitPhase("chat", "Ready")
        load.more()
        cluster.run("scale", "chat", "--replicas", "2", "--yes")
        cluster.awaitPhase("chat", "Ready")
        load.more()

        node = cluster.ranks("chat/0")[0]["node"]
        cluster.run("drain", node, "--yes")
        cluster.waitFor("the node is drained", lambda: not any(one["node"] == node for one in cluster.ranks("chat")))
        cluster.run("uncordon", node)
        cluster.awaitPhase("chat", "Ready")
        load.more()

        before = generations(cluster)
        cluster.apply(standIn(cluster, "chat", 2, VERSION="2"), "--wait")
        check(all(generations(cluster)[one] > before[one] for one in before), "both replicas were made anew")
        load.more()
        print(f"{load.end()} requests through scale, drain and recreation, none failed")


def test_noRequestFailsWhileCoordinatorsAreAway():
    with LocalCluster(workers=2, devices=2, flags=("--restart", "zookeeper")) as cluster:
        cluster.apply(standIn(cluster, "chat", 2), "--wait")
        front = Front(cluster)
        cluster.waitFor("the gateway routes it", lambda: front.complete().status == 200)
        load = Load(front)
        load.more()
        leader = cluster.leader()
        cluster.kill(leader)
        cluster.waitFor("another leads", lambda: cluster.leader() not in ("", leader))
        load.more()
        others = [id for id in ("co1", "co2", "co3") if id != leader]
        for id in others:
            cluster.kill(id)
        end = time.monotonic() + AWAY_S
        while time.monotonic() < end:
            load.more(10)
        answers = load.end()
        cluster.kill("gw1")
        cluster.run("up", "--detach", "--dir", cluster.dir)
        front = Front(cluster)
        cluster.waitFor("the gateway serves again", lambda: front.complete().status == 200)
        print(f"{answers} requests, {AWAY_S:.0f} s of them without any coordinator, none failed")


def replicasThatAnswer(front, model, prompts):
    answers = [front.complete(model, messages=[{"role": "user", "content": prompt}]) for prompt in prompts]
    checkEqual({answer.status for answer in answers}, {200}, f"answers of {model}")
    return {answer.json()["replica"] for answer in answers}


def test_otherNamesAndAnotherBalanceAreFollowedWithoutARestart():
    with LocalCluster(workers=3, devices=1) as cluster:
        cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)
        plain = standIn(cluster, "chat", 3)
        source = plain.splitlines()[2].removeprefix("model: ")
        told = plain.replace(source, f'{{source: "{source}", aliases: [gpt-4o, Org/Chat-7B]}}') + "balance: prefix\n"
        cluster.apply(plain, "--wait")
        front = Front(cluster)
        cluster.waitFor("the gateway routes it", lambda: front.complete().status == 200)
        before = generations(cluster)
        checkEqual(replicasThatAnswer(front, "chat", ["same"] * 40), {0, 1, 2}, "replicas by least outstanding")

        plan = cluster.run("plan", "-", stdin=told)
        check("restarts ranks" not in plan.out and "none: changed in place" in plan.out, repr(plan))
        cluster.apply(told, "--wait")
        cluster.waitFor("its other name is known", lambda: front.complete("Org/Chat-7B").status == 200)
        for name in ("chat", "gpt-4o"):
            checkEqual(len(replicasThatAnswer(front, name, ["same"] * 40)), 1, f"replicas for one prompt to {name}")
        check(len(replicasThatAnswer(front, "chat", map(str, range(40)))) > 1, "all prompts went to one replica")
        listed = [one["id"] for one in front.ask("GET", "/v1/models").json()["data"]]
        checkEqual(listed, ["Org/Chat-7B", "chat", "gpt-4o"], "models")

        cluster.apply(plain, "--wait")
        cluster.waitFor("its other name is gone", lambda: front.complete("gpt-4o").status == 404)
        checkEqual(replicasThatAnswer(front, "chat", ["same"] * 40), {0, 1, 2}, "replicas by least outstanding again")
        checkEqual(generations(cluster), before, "generations")


def test_aModelThatIsLoadingSaysSoAndChatAndBenchSpeakToIt():
    with LocalCluster(workers=1, devices=2) as cluster:
        front = served(cluster)
        said = cluster.run("chat", "chat", "how is the sea?")
        checkEqual(said.out, "word0 word1 word2 word3 word4 word5 word6 word7 word8 word9 \n", "what chat prints")
        result = cluster.run("bench", "chat", "--requests", "20", "--concurrency", "2", "-o", "json").json()
        checkEqual((result["answered"], result["failed"]), (20, 0), "requests of bench")
        check(result["ttft_s"]["p50"] > 0 and result["itl_s"]["p95"] > 0, repr(result))
        missing = cluster.cli("chat", "chet", "hello")
        check(missing.code == 4 and 'did you mean "chat"?' in missing.err, repr(missing))
        cluster.apply(standIn(cluster, "waits", 1).replace("ready: {http: /health}", "ready: {http: /never}"))
        cluster.waitFor("it is known to load", lambda: front.complete("waits").status == 503)
        answer = front.complete("waits")
        checkEqual(answer.code, "model_loading", repr(answer))


def npm():
    folder = tempfile.mkdtemp(prefix="muster-npm-")
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "openai"], capture_output=True,
                          text=True, timeout=120)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise Skip(f"npm cannot install the openai client: {done.stderr.strip().splitlines()[-1:]}")
    return folder


CLIENT = """
const OpenAI = require("openai");
const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "What is a lighthouse?" }];
const asked = { model, messages, temperature: 0, max_tokens: 24 };
(async () => {
  const models = (await client.models.list()).data.map((one) => one.id);
  const whole = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 2 });
  let text = "", usage;
  for await (const event of await client.chat.completions.create(
      { ...asked, stream: true, stream_options: { include_usage: true } })) {
    text += event.choices[0]?.delta.content ?? "";
    usage = event.usage ?? usage;
  }
  let error;
  try { await client.chat.completions.create({ ...asked, model: "none" }); } catch (e) { error = e; }
  console.log(JSON.stringify({ models, whole, text, usage, status: error.status, code: error.code }));
})();
"""


def test_curlUnderstandsItsStreams():
    with LocalCluster(workers=1, devices=2) as cluster:
        front = served(cluster)
        body = json.dumps({"model": "chat", "stream": True, "messages": []})
        done = subprocess.run(["curl", "-sS", "-N", "--fail", "-H", "Content-Type: application/json", "-d", body,
                               f"{front.url()}/chat/completions"], capture_output=True, text=True, timeout=60)
        checkEqual(done.returncode, 0, f"curl: {done.stderr}")
        check(done.stdout.endswith("data: [DONE]\n\n"), done.stdout)


def clientSees(script, front, model):
    done = subprocess.run(["node", script, front.url(), model], capture_output=True, text=True, timeout=60)
    checkEqual(done.returncode, 0, f"node: {done.stderr}")
    return json.loads(done.stdout)


def checkWhatTheClientSees(seen, model):
    checkEqual((seen["models"], seen["status"], seen["code"]), (["chat", "speaks"], 404, "model_not_found"), "openai client")
    choice = seen["whole"]["choices"][0]
    check(choice["message"]["content"], f"{model} says nothing: {seen}")
    if model == "chat":
        return check(seen["text"].startswith("word0 "), repr(seen))
    said = choice["message"]["content"]
    check(said.startswith("A lighthouse is "), said)
    checkEqual(seen["text"], said, "a chat as it comes, and as a whole")
    checkEqual(len(choice["logprobs"]["content"]), seen["whole"]["usage"]["completion_tokens"], "tokens with a logprob")
    check(all(len(token["top_logprobs"]) == 2 for token in choice["logprobs"]["content"]), repr(choice["logprobs"]))
    checkEqual(seen["usage"], seen["whole"]["usage"], "usage at the end of the stream")


def test_theOpenAiClientUnderstandsIt():
    if not shutil.which("npm") or not shutil.which("node"):
        raise Skip("there is no npm here")
    folder = npm()
    try:
        script = os.path.join(folder, "client.js")
        with open(script, "w") as file:
            file.write(CLIENT)
        with LocalCluster(workers=1, devices=3) as cluster:
            front = served(cluster)
            path = shutil.copytree(SPEAKING, os.path.join(cluster.models, "sample"))
            cluster.apply(deployment("speaks", path, tp=2, pp=1), "--wait")
            cluster.waitFor("the gateway routes the native engine", lambda: front.complete("speaks").status == 200)
            for model in ("chat", "speaks"):
                checkWhatTheClientSees(clientSees(script, front, model), model)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    runTests("GatewayCluster", globals())
