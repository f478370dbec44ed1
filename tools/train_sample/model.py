"""A small transformer of the Llama architecture in PyTorch, as it is trained."""
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 2048
    hidden: int = 256
    intermediate: int = 640
    layers: int = 4
    heads: int = 8
    kvHeads: int = 4
    positions: int = 256
    ropeTheta: float = 10000.0
    normEpsilon: float = 1e-5

    @property
    def headSize(self):
        return self.hidden // self.heads


class Norm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.normEpsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotaryTables(shape):
    """cos and sin of the angles; shape [positions, headSize] each."""
    frequencies = shape.ropeTheta ** (-torch.arange(0, shape.headSize, 2) / shape.headSize)
    angles = torch.outer(torch.arange(shape.positions), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        kv = shape.kvHeads * shape.headSize
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, kv, bias=False)
        self.v_proj = nn.Linear(shape.hidden, kv, bias=False)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def heads(self, x, count):
        return x.view(x.shape[0], x.shape[1], count, self.shape.headSize).transpose(1, 2)

    def forward(self, x, cos, sin, mask):
        shape, repeats = self.shape, self.shape.heads // self.shape.kvHeads
        query = rotate(self.heads(self.q_proj(x), shape.heads), cos, sin)
        key = rotate(self.heads(self.k_proj(x), shape.kvHeads), cos, sin).repeat_interleave(repeats, 1)
        value = self.heads(self.v_proj(x), shape.kvHeads).repeat_interleave(repeats, 1)
        scores = (query.to(value.dtype) @ key.to(value.dtype).transpose(-1, -2)).float() * shape.headSize ** -0.5
        mixed = torch.softmax(scores + mask, -1).to(value.dtype) @ value
        return self.o_proj(mixed.transpose(1, 2).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.down_proj = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = Norm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape)
        self.mlp = FeedForward(shape)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    """Tokens [rows, columns] to logits [rows, columns, vocabulary]; the head is the embedding."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        cos, sin = rotaryTables(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = (2 * shape.layers) ** -0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1
                nn.init.normal_(parameter, std=0.02 * scale)

    def forward(self, tokens):
        columns = tokens.shape[1]
        mask = torch.full((columns, columns), float("-inf")).triu(1)
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, self.cos[:columns], self.sin[:columns], mask)
        return functional.linear(self.norm(x), self.embed_tokens.weight)
