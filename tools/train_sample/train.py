#!/usr/bin/python3
"""Trains the sample model and writes it in Hugging Face layout. Needs wordnet-base, python3-torch, python3-numpy.

Usage: tools/train_sample/train.py FOLDER [--steps N] [--threads N]
The seed is fixed; other versions of PyTorch or another number of threads give other bits all the same.
"""
import argparse
import json
import math
import os
import random
import sys
import time

import byte_pairs
import torch
from character_baseline import CharacterModel
from corpus import readCorpus
from model import Model, Shape
from safetensors_file import writeSafetensors
from torch.nn import functional

ROWS, COLUMNS = 32, 128
RATE, WARM_UP_STEPS = 3e-3, 100
END, START, STOP = range(3)  # the special tokens


def tokensOf(document, tokenizer):
    """The dialogue in ChatML, as the engine's chat template writes it."""
    question = [START, *tokenizer.encode("user\n" + document.question), STOP, *tokenizer.encode("\n")]
    answer = [START, *tokenizer.encode("assistant\n" + document.answer), STOP, *tokenizer.encode("\n")]
    return question + answer + [END]


def batches(documents, steps):
    """`steps` batches of shape [ROWS, COLUMNS + 1]: the documents one after the other, shuffled in each epoch."""
    buffer, need = [], ROWS * (COLUMNS + 1)
    order = []
    for _ in range(steps):
        while len(buffer) < need:
            if not order:
                order = random.sample(range(len(documents)), len(documents))
            buffer += documents[order.pop()]
        yield torch.tensor(buffer[:need]).view(ROWS, COLUMNS + 1)
        buffer = buffer[need:]


def rateAt(step, steps):
    if step < WARM_UP_STEPS:
        return RATE * (step + 1) / WARM_UP_STEPS
    return RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def lossOf(model, tokens, reduction):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens[:, :-1])
    return functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction=reduction,
                                    ignore_index=-1)


def train(model, documents, steps):
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.05)
    started = time.monotonic()
    for step, batch in enumerate(batches(documents, steps)):
        for group in optimizer.param_groups:
            group["lr"] = rateAt(step, steps)
        loss = lossOf(model, batch, "mean")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}/{steps}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s", flush=True)


def bitsPerByte(model, documents, tokenizer):
    """Bits that all tokens of the held-out dialogues cost, markers included, for each byte of their text."""
    nats = 0.0
    with torch.no_grad():
        for document in documents:
            tokens = torch.tensor([[END, *tokensOf(document, tokenizer)]])
            nats += lossOf(model, tokens, "sum").item()
    return nats / math.log(2) / sum(len(document.text()) for document in documents)


def configOf(shape):
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
            "vocab_size": shape.vocabulary, "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kvHeads, "head_dim": shape.headSize,
            "max_position_embeddings": shape.positions, "rope_theta": shape.ropeTheta,
            "rms_norm_eps": shape.normEpsilon, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
            "tie_word_embeddings": True, "bos_token_id": END, "eos_token_id": STOP}


def writeJson(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


CHAT_TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                 "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
                 "{% endif %}")


def writeModel(folder, model, vocabulary, merges):
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    writeSafetensors(f"{folder}/model.safetensors", tensors)
    writeJson(f"{folder}/config.json", configOf(model.shape))
    writeJson(f"{folder}/generation_config.json", {"bos_token_id": END, "eos_token_id": [STOP, END]})
    writeJson(f"{folder}/tokenizer_config.json",
              {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>",
               "add_bos_token": False, "chat_template": CHAT_TEMPLATE})
    byte_pairs.write(f"{folder}/tokenizer.json", vocabulary, merges)


def keepMemory():
    """Starts this program again so that malloc keeps what was freed: a step that takes it from the kernel anew is
    eight times as slow."""
    settings = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}
    if settings.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)


def main():
    keepMemory()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=700, help="half an epoch; more make it better")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(42)
    random.seed(42)
    learnt, heldOut = readCorpus()
    shape = Shape()
    vocabulary, merges = byte_pairs.train([document.text() for document in learnt], shape.vocabulary)
    tokenizer = byte_pairs.Tokenizer(vocabulary, merges)
    documents = [tokensOf(document, tokenizer) for document in learnt]
    model = Model(shape)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{parameters} parameters, {sum(map(len, documents))} tokens an epoch", flush=True)
    train(model, documents, options.steps)
    os.makedirs(options.folder, exist_ok=True)
    writeModel(options.folder, model.to(torch.bfloat16), vocabulary, merges)
    ours = bitsPerByte(model.float(), heldOut, tokenizer)
    yardstick = CharacterModel(document.text() for document in learnt)
    theirs = yardstick.bitsPerByte(document.text() for document in heldOut)
    print(f"held-out bits per byte: {ours:.3f}; character model of order 2: {theirs:.3f}; ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
