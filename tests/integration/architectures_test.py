#!/usr/bin/python3
"""Deployments of every architecture say what an independent reference in double precision says."""
import numpy as np

from endpoint import Endpoint, completion
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from reference_model import Reference, logProbability, models, write

NEW_TOKENS = 16
F32_DELTA = 1e-3  # of a logit; that of a log-probability is at most twice it
ROUNDED_DELTA = 2e-2  # of the largest logit


def document(name, model, cut, dtype):
    source = f'{{source: "file:{model}"' + (f", dtype: {dtype}}}" if dtype else "}")
    return f"version: 1\nname: {name}\nmodel: {source}\nparallel: {cut}\n"


def checkAnswer(endpoint, reference, exact):
    """Follows the answer token by token: each is the reference's best where that is clear, with its probability."""
    prompt = models.TOKENS
    body = {**completion(endpoint.model, prompt, NEW_TOKENS), "logprobs": 1, "ignore_eos": True}
    choice = endpoint.post("/v1/completions", body).json()["choices"][0]
    checkEqual(len(choice["token_ids"]), NEW_TOKENS, "new tokens")
    clear, said = 0, list(prompt)
    for token, logprob in zip(choice["token_ids"], choice["logprobs"]["token_logprobs"]):
        logits = reference.logits(said)
        allowed = F32_DELTA if exact else ROUNDED_DELTA * np.abs(logits).max()
        best, second = np.sort(logits)[::-1][:2]
        if best - second > 2 * allowed:
            clear += 1
            checkEqual(token, int(logits.argmax()), f"token {len(said)} of {endpoint.model}")
        delta = abs(logprob - logProbability(logits, token))
        check(delta <= 2 * allowed, f"token {len(said)} of {endpoint.model}: log-probability off by {delta}")
        said.append(token)
    check(clear >= 0.75 * NEW_TOKENS, f"only {clear} of {NEW_TOKENS} tokens of {endpoint.model} were clear")


def awaitLevel(cluster):
    """ep and dtype are taken from level 2 on."""
    cluster.waitFor("the cluster's schema level has risen", lambda: cluster.status()["schema_level"] >= 2)


def compare(cluster, architecture, cut, stored="F32", dtype=None):
    name = architecture + ("-" + (dtype or stored.lower()))
    cluster.apply(document(name, write(cluster.models, architecture, stored), cut, dtype), "--wait")
    checkAnswer(Endpoint(cluster, name), Reference(architecture, dtype.upper() if dtype else stored),
                exact=stored == "F32" and not dtype)
    cluster.run("delete", name, "--yes")
    cluster.awaitGone(name)


def test_everyArchitectureAnswersAsTheReferenceWhateverTheCut():
    with LocalCluster() as cluster:
        compare(cluster, "llama2", "{tp: 1, pp: 1}")
        compare(cluster, "llama3", "{tp: 4, pp: 2}")
        compare(cluster, "llama-biased", "{tp: 2, pp: 3}")
        compare(cluster, "mistral", "{tp: 2, pp: 1}")
        compare(cluster, "qwen2", "{tp: 1, pp: 3}")
        compare(cluster, "qwen3", "{tp: 2, pp: 2}", stored="BF16")
        awaitLevel(cluster)
        compare(cluster, "qwen2-yarn", "{tp: 2, pp: 1}", dtype="int8")


def test_expertsMayBeSpreadOverTheRanksOfAStage():
    with LocalCluster() as cluster:
        awaitLevel(cluster)
        compare(cluster, "mixtral", "{tp: 4, pp: 1}")
        compare(cluster, "mixtral", "{tp: 4, pp: 2, ep: 2}", stored="BF16")
        compare(cluster, "mixtral", "{tp: 2, pp: 3, ep: 2}", dtype="int8")
        wrong = document("wrong", write(cluster.models, "llama2"), "{tp: 2, ep: 2}", None)
        refused = cluster.cli("apply", "-", stdin=wrong)
        check("ep 2 is for models with experts" in refused.err, refused)


if __name__ == "__main__":
    runTests("Architectures", globals())
