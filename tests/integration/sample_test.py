#!/usr/bin/python3
"""The sample model of models/, cut in four, computes what the reference computes from its file, and speaks."""
import json
import os
import shutil
import sys

import numpy as np

from endpoint import Endpoint, completion
from facts import check, checkEqual, runTests
from local_cluster import LocalCluster
from sample import deployment

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support/reference"))
from transformer import Model  # noqa: E402  (its folder is none of the test's own)

SAMPLE = os.path.join(HERE, "../../models/sample")
QUESTIONS = {"What is a lighthouse?": "A lighthouse is", "What does it mean to whisper?": "To whisper is to",
             "What does quick mean?": "Quick means"}
TOKENS = 24
CLOSE = 2e-2  # of the largest logit: what rounded weights may differ by


def bf16Tensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = file.read()
    for name, fields in header.items():
        if name != "__metadata__":
            begin, end = fields["data_offsets"]
            bits = np.frombuffer(data[begin:end], dtype="<u2").astype(np.uint32) << 16
            yield name, bits.view(np.float32).reshape(fields["shape"])


def reference():
    with open(os.path.join(SAMPLE, "config.json")) as file:
        config = json.load(file)
    return Model(config, dict(bf16Tensors(os.path.join(SAMPLE, "model.safetensors"))))


def logarithms(row):
    """Of the probabilities that these logits give."""
    return row - row.max() - np.log(np.exp(row - row.max()).sum())


def chat(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def test_fourRanksSayWhatTheReferenceSaysWithItsLogits():
    model = reference()
    with LocalCluster() as cluster:
        path = shutil.copytree(SAMPLE, os.path.join(cluster.models, "sample"))
        cluster.apply(deployment("sample", path, tp=2, pp=2), "--wait")
        endpoint = Endpoint(cluster, "sample")
        for question in QUESTIONS:
            asked = {**completion("sample", chat(question), TOKENS), "logprobs": 1, "ignore_eos": True}
            choice = endpoint.post("/v1/completions", asked).json()["choices"][0]
            prompt, said = choice["prompt_token_ids"], choice["token_ids"]
            checkEqual(len(said), TOKENS, "tokens of an answer")
            rows = model.logits(prompt + said)[len(prompt) - 1:-1]
            told = choice["logprobs"]["token_logprobs"]
            for row, token, logprob in zip(rows, said, told):
                tolerance = CLOSE * np.abs(row).max()
                check(row[token] >= row.max() - 2 * tolerance, f"{question}: token {token} is not the likeliest")
                check(abs(logprob - logarithms(row)[token]) <= 2 * tolerance,
                      f"{question}: {logprob} for token {token}, wanted {logarithms(row)[token]}")


def test_itDefinesWords():
    with LocalCluster(workers=1) as cluster:
        path = shutil.copytree(SAMPLE, os.path.join(cluster.models, "sample"))
        cluster.apply(deployment("sample", path, tp=1, pp=1), "--wait")
        endpoint = Endpoint(cluster, "sample")
        for question, beginning in QUESTIONS.items():
            body = {"model": "sample", "messages": [{"role": "user", "content": question}], "temperature": 0,
                    "max_tokens": 60}
            said = endpoint.post("/v1/chat/completions", body).json()["choices"][0]["message"]["content"]
            print(f"{question} {said}")
            check(said.startswith(beginning + " ") and len(said.split()) >= len(beginning.split()) + 3,
                  f"that is no definition: {said}")


if __name__ == "__main__":
    runTests("Sample", globals())
