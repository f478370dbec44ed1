#!/usr/bin/python3
"""A native deployment answers OpenAI requests on its first rank, the same whatever becomes of single ranks."""
import json
import os
import re
import shutil
import signal
import subprocess

from endpoint import Endpoint, completion
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from sample import SMALL, deployment, makeModel

TOKENIZER = os.path.join(os.path.dirname(__file__), "../golden/tokenizer/qwen2.json")
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PROMPTS = [[7], [1, 2, 3, 4], list(range(100, 160)), [5] * 40, [400, 3, 77, 12, 9, 250]]
TOKENS = 24


def makeSpeakingModel(folder):
    """Random single-precision weights with a tokenizer: what it says is noise, but always the same noise."""
    path = makeModel(os.path.join(folder, "speaking"), *SMALL, "--vocab", "579", "--dtype", "f32")
    shutil.copy(TOKENIZER, os.path.join(path, "tokenizer.json"))
    with open(os.path.join(path, "tokenizer_config.json"), "w") as file:
        json.dump({"chat_template": CHATML, "eos_token": "<|im_end|>"}, file)
    return path


def answers(endpoint):
    return [endpoint.tokens(prompt, TOKENS) for prompt in PROMPTS]


def awaitNext(cluster, before):
    def there():
        ranks = cluster.ranks("sample")
        ready = all(one["phase"] == "Ready" and one["generation"] > before[0]["generation"] for one in ranks)
        return ranks if ready else None

    return cluster.waitFor("the next generation is Ready", there)


def test_fourRanksSayWhatOneSays():
    with LocalCluster() as cluster:
        model = makeSpeakingModel(cluster.models)
        cluster.apply(deployment("cut", model, tp=2, pp=2), "--wait")
        cluster.apply(deployment("whole", model, tp=1, pp=1), "--wait")
        cut, whole = Endpoint(cluster, "cut"), Endpoint(cluster, "whole")
        checkEqual(answers(cut), answers(whole), "greedy tokens of four ranks, and of one")

        text = cut.post("/v1/completions", completion("cut", "Hello world", 8)).json()
        checkEqual(text["usage"], {"prompt_tokens": text["usage"]["prompt_tokens"], "completion_tokens": 8,
                                   "total_tokens": text["usage"]["prompt_tokens"] + 8}, "usage")
        chat = {"model": "cut", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "temperature": 0}
        said = cut.post("/v1/chat/completions", chat).json()["choices"][0]["message"]
        checkEqual(said["role"], "assistant", "who speaks")
        streamed = "".join(event["choices"][0]["delta"].get("content", "")
                           for event in cut.stream("/v1/chat/completions", {**chat, "stream": True}))
        checkEqual(streamed, said["content"], "a chat as it comes, and as a whole")


def layersOf(rank):
    return {int(one["tensor"].split(".")[2]) for one in rank["slices"] if one["tensor"].startswith("model.layers.")}


def test_anUnevenCutSaysWhatTheEvenOneSays():
    with LocalCluster() as cluster:
        model = makeSpeakingModel(cluster.models)
        cluster.waitFor("stages are understood", lambda: cluster.status()["schema_level"] >= 3)
        cluster.apply(deployment("sample", model, tp=2, pp=2), "--wait")
        even = answers(Endpoint(cluster, "sample"))
        checkEqual([layersOf(rank) for rank in cluster.ranks("sample")], [{0, 1}] * 2 + [{2, 3}] * 2, "layers, cut evenly")

        uneven = deployment("sample", model, tp=2, pp=2, stages="[{layers: 0-0}, {layers: 1-3}]")
        planned = cluster.run("plan", "-", stdin=uneven).out
        for wanted in ("+ stages", "restarts ranks", "stages hold layers 0-0 and 1-3: the deployment gives the cut"):
            check(wanted in planned, f"{wanted} is not in the plan:\n{planned}")
        cluster.apply(uneven, "--wait")
        checkEqual([layersOf(rank) for rank in cluster.ranks("sample")], [{0}] * 2 + [{1, 2, 3}] * 2, "layers, as given")
        checkEqual(answers(Endpoint(cluster, "sample")), even, "greedy tokens of the uneven cut, and of the even one")

        ranks = cluster.ranks("sample")
        os.kill(ranks[3]["pid"], signal.SIGKILL)
        after = awaitNext(cluster, ranks)
        checkEqual([layersOf(rank) for rank in after], [{0}] * 2 + [{1, 2, 3}] * 2, "layers after the death of a rank")
        checkEqual(answers(Endpoint(cluster, "sample")), even, "greedy tokens after the death of a rank")

        wrong = cluster.cli("apply", "-", stdin=uneven.replace("1-3", "1-4"))
        check("stages ends with layer 4, the model has 0-3" in wrong.err, wrong)


def test_onlyGatewaysAreAnsweredAndCurlIsAClientAsAnyOther():
    with LocalCluster() as cluster:
        cluster.apply(deployment("sample", makeSpeakingModel(cluster.models)), "--wait")
        endpoint = Endpoint(cluster, "sample")
        body = completion("sample", PROMPTS[1], TOKENS)
        refused = Endpoint(cluster, "sample", identity="admin-admin").post("/v1/completions", body)
        checkEqual((refused.status, refused.json()["error"]["code"]), (403, "not_allowed"), "an administrator")
        unknown = Endpoint(cluster, "sample", identity=None).post("/v1/completions", body)
        check(unknown.status in (401, 403), f"somebody without a certificate got {unknown.status}")
        checkEqual(endpoint.post("/v1/completions", {**body, "model": "other"}).status, 404, "another model")
        done = subprocess.run(["curl", "-sS", "--cacert", endpoint.ca, "--cert", endpoint.certificate, "--key",
                               endpoint.key, endpoint.url + "/v1/completions", "-d", json.dumps(body)],
                              check=True, capture_output=True, text=True)
        checkEqual(json.loads(done.stdout)["choices"][0]["token_ids"], endpoint.tokens(PROMPTS[1], TOKENS), "what curl got")


def test_afterAnyRankWasKilledTheSameTokensCome():
    with LocalCluster() as cluster:
        cluster.apply(deployment("sample", makeSpeakingModel(cluster.models)), "--wait")
        cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)
        ranks = cluster.ranks("sample")
        expected = answers(Endpoint(cluster, "sample"))
        for lost in range(4):
            os.kill(ranks[lost]["pid"], signal.SIGKILL)
            after = awaitNext(cluster, ranks)
            stayed = [one["rank"] for old, one in zip(ranks, after) if old["pid"] == one["pid"]]
            checkEqual(stayed, [rank for rank in range(4) if rank != lost], "ranks that went on")
            checkEqual(answers(Endpoint(cluster, "sample")), expected, f"greedy tokens after the death of rank {lost}")
            ranks = after


def test_aStreamWhoseGroupBreaksEndsWithAnErrorThatMayBeTriedAgain():
    with LocalCluster() as cluster:
        cluster.apply(deployment("sample", makeSpeakingModel(cluster.models)), "--wait")
        ranks = cluster.ranks("sample")
        endpoint = Endpoint(cluster, "sample")
        events = endpoint.stream("/v1/completions",
                                 {**completion("sample", [1, 2, 3], 4000), "stream": True, "ignore_eos": True})
        first = next(events)
        check(first["choices"][0]["token_ids"], f"an event without tokens: {first}")  # several when its writer was late
        os.kill(ranks[3]["pid"], signal.SIGKILL)
        rest = list(events)
        check("error" in rest[-1], f"the stream ended with {rest[-1]}")
        check(not endpoint.sawDone, "an end that was none")
        awaitNext(cluster, ranks)


def test_whenARankHangsTheStreamEndsWithItsNameAndWhatItWasNeededFor():
    with LocalCluster() as cluster:
        cluster.apply(deployment("sample", makeSpeakingModel(cluster.models)), "--wait")
        ranks = cluster.ranks("sample")
        events = Endpoint(cluster, "sample").stream(
            "/v1/completions", {**completion("sample", [1, 2, 3], 4000), "stream": True, "ignore_eos": True})
        next(events)
        os.kill(ranks[1]["pid"], signal.SIGSTOP)
        said = list(events)[-1]["error"]["message"]
        # Stopped with its part of the last sum given, it fails the second stage first, which rank 0 then waits for.
        needed = ("all-reduce of (the embedding|layer [01]'s (attention|feed-forward) output)"
                  "|broadcast of what to compute|receive of the logits from stage 1")
        check(re.search(rf"rank 1 left the group, during ({needed}) in step \d+, 1 sequence$", said), f"the stream: {said}")
        awaitNext(cluster, ranks)
        failures = [one["message"] for one in cluster.get("events") if one["type"] == "RankFailed"]
        checkEqual(len(failures), 1, f"ranks that failed: {failures}")
        did = r"its last operation: (.+ in step \d+, 1 sequence|wait for the next step);"
        check(failures[0].startswith(f"rank 1 ({ranks[1]['node']}:") and re.search(did, failures[0]), failures[0])


if __name__ == "__main__":
    runTests("Endpoint", globals())
