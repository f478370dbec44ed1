"""The forward pass of decoder-only transformers in double precision, straight from the published equations.

Sources: Vaswani et al. 2017 (attention), Zhang and Sennrich 2019 (RMSNorm), Su et al. 2021 (rotary positions), Shazeer 2020
(SwiGLU), Ainslie et al. 2023 (grouped queries), Jiang et al. 2023 (sliding window), Jiang et al. 2024 (Mixtral's experts),
Peng et al. 2023 (YaRN), and the model cards of Llama 3.1 and Qwen 3 for scaled frequencies and head norms.
"""
import math

import numpy as np


def rmsNorm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def headSize(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rotaryFrequencies(config):
    """(radians per position of each pair, factor of the rotated values)."""
    size, theta = headSize(config), config.get("rope_theta", 10000.0)
    frequencies = theta ** (-np.arange(0, size, 2) / size)
    scaling = config.get("rope_scaling") or {"rope_type": "default"}
    kind = scaling["rope_type"]
    if kind == "default":
        return frequencies, 1.0
    factor = scaling["factor"]
    if kind == "linear":
        return frequencies / factor, 1.0
    context = scaling["original_max_position_embeddings"]
    if kind == "llama3":
        wavelengths = 2 * math.pi / frequencies
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        scaled = []
        for frequency, wavelength in zip(frequencies, wavelengths):
            if wavelength < context / high:
                scaled.append(frequency)
            elif wavelength > context / low:
                scaled.append(frequency / factor)
            else:
                smooth = (context / wavelength - low) / (high - low)
                scaled.append((1 - smooth) * frequency / factor + smooth * frequency)
        return np.array(scaled), 1.0
    assert kind == "yarn", kind

    def dimension(rotations):  # at which a pair turns so often within the original context
        return size * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(dimension(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(dimension(scaling.get("beta_slow", 1))), size - 1)
    ramp = np.clip((np.arange(size // 2) - low) / max(high - low, 0.001), 0, 1)
    return frequencies / factor * ramp + frequencies * (1 - ramp), 0.1 * math.log(factor) + 1


def rotate(heads, config):
    """`heads`: shape [tokens, heads, size]; pair i is elements i and i + size / 2."""
    frequencies, factor = rotaryFrequencies(config)
    angles = np.arange(heads.shape[0])[:, None, None] * frequencies
    cosine, sine = np.cos(angles) * factor, np.sin(angles) * factor
    first, second = np.split(heads, 2, axis=-1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


class Model:
    """`weights`: tensors by the names that safetensors files have; used in double precision."""

    def __init__(self, config, weights):
        self.config = config
        self.weights = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
        self.epsilon = config.get("rms_norm_eps", 1e-6)

    def logits(self, tokens):
        """Shape [tokens, vocabulary]."""
        x = self.weights["model.embed_tokens.weight"][tokens]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            x = x + self.attention(prefix + "self_attn.", self.norm(x, prefix + "input_layernorm.weight"))
            x = x + self.feedForward(prefix, self.norm(x, prefix + "post_attention_layernorm.weight"))
        tied = self.config.get("tie_word_embeddings", False)
        head = self.weights["model.embed_tokens.weight" if tied else "lm_head.weight"]
        return self.norm(x, "model.norm.weight") @ head.T

    def norm(self, x, name):
        return rmsNorm(x, self.weights[name], self.epsilon)

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights.get(name + ".bias", 0.0)

    def attention(self, prefix, x):
        size, count = headSize(self.config), x.shape[0]
        queries, keys, values = (self.linear(x, prefix + name).reshape(count, -1, size) for name in ("q_proj", "k_proj", "v_proj"))
        if prefix + "q_norm.weight" in self.weights:
            queries, keys = self.norm(queries, prefix + "q_norm.weight"), self.norm(keys, prefix + "k_norm.weight")
        queries, keys = rotate(queries, self.config), rotate(keys, self.config)
        group = queries.shape[1] // keys.shape[1]
        keys, values = np.repeat(keys, group, axis=1), np.repeat(values, group, axis=1)
        scores = np.einsum("ihd,jhd->hij", queries, keys) / math.sqrt(size)
        back = np.arange(count)[:, None] - np.arange(count)[None, :]
        seen = (back >= 0) & (back < (self.config.get("sliding_window") or count))
        weights = softmax(np.where(seen, scores, -np.inf))
        return self.linear(np.einsum("hij,jhd->ihd", weights, values).reshape(count, -1), prefix + "o_proj")

    def feedForward(self, prefix, x):
        if "num_local_experts" in self.config:
            return self.experts(prefix + "block_sparse_moe.", x)
        gate, up = self.linear(x, prefix + "mlp.gate_proj"), self.linear(x, prefix + "mlp.up_proj")
        return self.linear(silu(gate) * up, prefix + "mlp.down_proj")

    def experts(self, prefix, x):
        out = np.zeros_like(x)
        for token, scores in enumerate(self.linear(x, prefix + "gate")):
            best = np.argsort(-scores, kind="stable")[:self.config["num_experts_per_tok"]]
            for expert, weight in zip(best, softmax(scores[best])):
                at = f"{prefix}experts.{expert}."
                hidden = silu(self.linear(x[token], at + "w1")) * self.linear(x[token], at + "w3")
                out[token] += weight * self.linear(hidden, at + "w2")
        return out
