"""The GPAS paper's architectures in PyTorch, from their formulas: h is the stream, F attention or MLP, N an RMSNorm, G the
gate. Parameter names are those of transformers' Llama and of the paper's code. For scripts/check-transformers."""
import math

import torch
from torch import nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class GpasBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x - F.silu(self.gate) * x.detach()


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.base = c["rope_theta"]
        width = c["hidden_size"]
        self.q_proj = nn.Linear(width, self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(width, self.kv * self.dim, bias=False)
        self.v_proj = nn.Linear(width, self.kv * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, width, bias=False)

    def rotate(self, x):  # [heads, T, dim]
        half = self.dim // 2
        frequency = self.base ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * frequency
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def forward(self, x):
        split = lambda y, n: y.view(x.shape[0], n, self.dim).transpose(0, 1)
        q, k, v = split(self.q_proj(x), self.heads), split(self.k_proj(x), self.kv), split(self.v_proj(x), self.kv)
        q, k = self.rotate(q), self.rotate(k)
        k, v = (y.repeat_interleave(self.heads // self.kv, 0) for y in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(self.dim)
        mask = torch.ones(x.shape[0], x.shape[0], dtype=torch.bool).triu(1)
        o = scores.masked_fill(mask, -math.inf).softmax(-1) @ v
        return self.o_proj(o.transpose(0, 1).reshape(x.shape[0], -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, f = c["hidden_size"], c["intermediate_size"]
        self.gate_proj, self.up_proj = nn.Linear(h, f, bias=False), nn.Linear(h, f, bias=False)
        self.down_proj = nn.Linear(f, h, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        norm = lambda: RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        name = c["gpas"]["architecture"]
        self.gated = name.endswith("_gpas")
        self.row = name.removesuffix("_gpas")
        if self.row == "post_pre":
            self.row = "post" if index < c["gpas"]["mix_post_layers"] else "pre"
        self.alpha = (2 * c["num_hidden_layers"]) ** 0.25 if self.row == "deeppost" else 1.0
        self.scale = 1.0
        if self.row == "lns":
            self.scale = 1 / math.sqrt(index + 1) if c["gpas"]["lns"] == "output" else 1.0
            self.row = "pre"
        self.self_attn, self.mlp = Attention(c), Mlp(c)
        if self.row in ("pre", "sandwich"):
            self.input_layernorm = norm()
        self.post_attention_layernorm = norm()
        if self.row == "sandwich":
            self.pre_feedforward_layernorm = norm()
        if self.row != "pre":
            self.post_feedforward_layernorm = norm()
        if self.gated:
            self.gpas_block = GpasBlock()

    def forward(self, h):
        gate = self.gpas_block if self.gated else lambda x: x
        if self.row == "pre":
            h = gate(h + self.self_attn(self.scale * self.input_layernorm(h)))
            return gate(h + self.mlp(self.scale * self.post_attention_layernorm(h)))
        if self.row == "sandwich":
            h = gate(h + self.post_attention_layernorm(self.self_attn(self.input_layernorm(h))))
            return gate(h + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(h))))
        if self.row == "reordered":
            h = gate(h + self.post_attention_layernorm(self.self_attn(h)))
            return gate(h + self.post_feedforward_layernorm(self.mlp(h)))
        h = self.post_attention_layernorm(self.alpha * gate(h) + self.self_attn(h))
        return self.post_feedforward_layernorm(self.alpha * gate(h) + self.mlp(h))


class Inner(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])


class Model(nn.Module):
    """config: config.json with its object "gpas"."""

    def __init__(self, config):
        super().__init__()
        self.model = Inner(config)
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)
        if config["tie_word_embeddings"]:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids):
        h = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            h = layer(h)
        return self.lm_head(self.model.norm(h))
