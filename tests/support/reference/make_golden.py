#!/usr/bin/python3
"""Writes what the reference computes for each tiny model, or compares it with what is stored.

Usage: make_golden.py write|check FOLDER
"""
import json
import pathlib
import sys

import numpy as np

import models
import transformer

ROUNDINGS = ("F32", "BF16", "F16", "INT8")
DECIMALS = 5


def golden(name, rounding):
    config = models.config(name)
    logits = transformer.Model(config, models.weights(config, rounding)).logits(models.TOKENS)
    return {"config": config, "rounding": rounding, "tokens": models.TOKENS, "logits": np.round(logits, DECIMALS).tolist()}


def clearShare(logits):
    """Of positions where the best token leads by more than 4 % of the largest magnitude: what tests may compare greedily."""
    logits = np.asarray(logits)
    ordered = np.sort(logits, axis=1)
    return np.mean(ordered[:, -1] - ordered[:, -2] > 4e-2 * np.abs(logits).max(axis=1))


def text(made):
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in made["logits"])
    head = json.dumps({key: value for key, value in made.items() if key != "logits"})
    return head[:-1] + ', "logits": [\n' + rows + "\n]}\n"


def differs(stored, made):
    """Another BLAS may add in another order, so the last stored digit is no difference."""
    close = np.allclose(stored["logits"], made["logits"], rtol=0, atol=2 * 10.0**-DECIMALS)
    return not close or any(stored[key] != made[key] for key in ("config", "rounding", "tokens"))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    folder, wrong = pathlib.Path(sys.argv[2]), []
    for name in models.CONFIGS:
        for rounding in ROUNDINGS:
            file, made = folder / f"{name}.{rounding.lower()}.json", golden(name, rounding)
            assert clearShare(made["logits"]) >= 0.9, f"{name}: the best tokens are not clear: {clearShare(made['logits'])}"
            if sys.argv[1] == "write":
                file.write_text(text(made))
            elif differs(json.loads(file.read_text()), made):
                wrong.append(str(file))
    if wrong:
        sys.exit("not what the reference computes: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
