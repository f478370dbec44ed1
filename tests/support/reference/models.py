"""Tiny random models of each architecture: their configs, and weights that both sides can make without a file.

Element i of a tensor is made from u = splitmix64(fnv1a64(name) + i), 24 bits of it as a number v in [-1, 1), and depends on the
name: `...norm.weight` 1 + v / 4; `....bias` v / 4; any other a matrix, v * sqrt(3 / columns) and, in embedding and head, times
1 + 15 * r^6 for its row, where r in [0, 1) comes from the name + ".row" and the row's number: without large rows the best token
would rarely win clearly. tests/support/tiny_model.cpp does the same.
"""
import numpy as np

COMMON = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 8, "vocab_size": 67,
          "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "hidden_act": "silu"}

CONFIGS = {
    "llama2": {"architectures": ["LlamaForCausalLM"], "num_key_value_heads": 8},
    "llama3": {"architectures": ["LlamaForCausalLM"], "num_key_value_heads": 2, "rope_theta": 500000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16}},
    "llama-biased": {"architectures": ["LlamaForCausalLM"], "num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True,
                     "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "mistral": {"architectures": ["MistralForCausalLM"], "num_key_value_heads": 4, "sliding_window": 5},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 2, "tie_word_embeddings": True,
              "rope_theta": 1000000.0},
    "qwen2-yarn": {"architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 4, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "num_key_value_heads": 4, "head_dim": 32, "tie_word_embeddings": True},
    "mixtral": {"architectures": ["MixtralForCausalLM"], "num_key_value_heads": 4, "num_local_experts": 4,
                "num_experts_per_tok": 2},
}

TOKENS = [int(token) for token in (np.arange(1, 21) ** 3 * 7 + 3) % COMMON["vocab_size"]]


def config(name):
    return {**COMMON, **CONFIGS[name]}


def shapes(config):
    """The tensors of an architecture as safetensors files of it name them."""
    hidden, wide, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    size = config.get("head_dim", hidden // heads)
    queries, keys = heads * size, config["num_key_value_heads"] * size
    family = config["architectures"][0]
    found = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    if not config.get("tie_word_embeddings"):
        found["lm_head.weight"] = (config["vocab_size"], hidden)

    def linear(name, rows, columns, bias=False):
        found[name + ".weight"] = (rows, columns)
        if bias:
            found[name + ".bias"] = (rows,)

    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        found[at + "input_layernorm.weight"] = found[at + "post_attention_layernorm.weight"] = (hidden,)
        bias = config.get("attention_bias", False)
        for name, rows in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            linear(at + "self_attn." + name, rows, hidden, bias or family == "Qwen2ForCausalLM")
        linear(at + "self_attn.o_proj", hidden, queries, bias)
        if family == "Qwen3ForCausalLM":
            found[at + "self_attn.q_norm.weight"] = found[at + "self_attn.k_norm.weight"] = (size,)
        if family == "MixtralForCausalLM":
            linear(at + "block_sparse_moe.gate", config["num_local_experts"], hidden)
            for expert in range(config["num_local_experts"]):
                for name, rows, columns in (("w1", wide, hidden), ("w2", hidden, wide), ("w3", wide, hidden)):
                    linear(f"{at}block_sparse_moe.experts.{expert}.{name}", rows, columns)
        else:
            bias = config.get("mlp_bias", False)
            for name, rows, columns in (("gate_proj", wide, hidden), ("up_proj", wide, hidden), ("down_proj", hidden, wide)):
                linear(at + "mlp." + name, rows, columns, bias)
    return found


def unit(name, count):
    """Numbers in [0, 1), shape [count]."""
    start = 0xcbf29ce484222325
    for byte in name.encode():
        start = (start ^ byte) * 0x100000001b3 % 2**64
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(start) + np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) * 2.0**-24


def tensor(name, shape):
    """As single precision, which is what a file would hold."""
    v = 2 * unit(name, int(np.prod(shape))).reshape(shape) - 1
    if name.endswith("norm.weight"):
        v = 1 + v * 0.25
    elif name.endswith(".bias"):
        v = v * 0.25
    else:
        v = v * np.sqrt(3.0 / shape[1])
        if "embed_tokens" in name or "lm_head" in name:
            v = v * (1 + 15 * unit(name + ".row", shape[0]) ** 6)[:, None]
    return v.astype(np.float32)


def roundToBfloat16(values):
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7fff + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16) << np.uint64(16)).astype(np.uint32).view(np.float32)


def roundToInt8(values):
    """Blocks of 32 neighbours of a row share the scale that makes the largest of them 127; all in single precision."""
    blocks = values.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    return (np.rint(blocks * (np.float32(1) / scale)) * scale).reshape(values.shape).astype(np.float32)


def staysWide(name):
    """What int8 leaves as it is stored."""
    return name.endswith((".bias", "norm.weight", "embed_tokens.weight", "block_sparse_moe.gate.weight"))


def weights(config, rounding):
    """`rounding`: F32, BF16, F16, or INT8 of what is stored as F32."""
    found = {name: tensor(name, shape) for name, shape in shapes(config).items()}
    for name, values in found.items():
        if rounding == "BF16":
            found[name] = roundToBfloat16(values)
        elif rounding == "F16":
            found[name] = values.astype(np.float16)
        elif rounding == "INT8" and not staysWide(name):
            found[name] = roundToInt8(values)
    return found
