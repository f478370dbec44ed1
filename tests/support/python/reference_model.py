"""The tiny models of tests/support/reference/ as folders that can be deployed, and what the reference says they answer."""
import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "reference"))

import models  # noqa: E402
import transformer  # noqa: E402

ALIGNMENT = 8  # of the header, as the format asks for


def write(folder, name, rounding="F32"):
    """Config and weights as F32 or BF16 in one safetensors file; gives the folder."""
    path = os.path.join(folder, f"{name}-{rounding.lower()}")
    os.makedirs(path, exist_ok=True)
    config = models.config(name)
    with open(os.path.join(path, "config.json"), "w") as file:
        json.dump({**config, "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[rounding]}, file)
    header, parts, at = {}, [], 0
    for tensor, values in models.weights(config, rounding).items():
        data = encoded(values.astype(np.float32), rounding)
        header[tensor] = {"dtype": rounding, "shape": list(values.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % ALIGNMENT)
    with open(os.path.join(path, "model.safetensors"), "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head + b"".join(parts))
    return path


def encoded(values, rounding):
    if rounding == "F32":
        return values.astype("<f4").tobytes()
    return (values.view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()  # rounded already


class Reference:
    def __init__(self, name, rounding):
        config = models.config(name)
        self.model = transformer.Model(config, models.weights(config, rounding))

    def logits(self, tokens):
        """Of the token that follows; shape [vocabulary]."""
        return np.asarray(self.model.logits(tokens))[-1]


def logProbability(logits, token):
    shifted = logits - logits.max()
    return shifted[token] - np.log(np.exp(shifted).sum())
