#!/usr/bin/env python3
"""One training step of the model of configs/71m.yaml (pre_gpas) in PyTorch on the CPU: what bench_step is compared with.

Written as a good user of PyTorch would: fused attention, RMSNorm and AdamW of the library, autocast for bf16, fp32
weights and moments. Synthetic tokens. Prints one JSON object; bench/setup-torch makes the environment to run it in.
"""
import argparse
import json
import math
import platform
import time

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN, FFN, HEADS, LAYERS, VOCABULARY = 512, 1368, 8, 12, 32000
HEAD_DIM = HIDDEN // HEADS
NORM_EPS, ROPE_BASE, INIT_STD = 1e-6, 10000.0, 0.02


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return F.rms_norm(x, (HIDDEN,), self.weight, NORM_EPS)


def rope_tables(length):
    frequencies = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float32) / HEAD_DIM)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.k = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.v = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.o = nn.Linear(HIDDEN, HIDDEN, bias=False)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        q, k, v = (linear(x).view(batch, length, HEADS, HEAD_DIM).transpose(1, 2) for linear in (self.q, self.k, self.v))
        cos, sin = cos.to(q.dtype), sin.to(q.dtype)
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return self.o(y.transpose(1, 2).reshape(batch, length, HIDDEN))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(HIDDEN, FFN, bias=False)
        self.up = nn.Linear(HIDDEN, FFN, bias=False)
        self.down = nn.Linear(FFN, HIDDEN, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """Pre-LN + GPAS: h <- G(h + F(N(h))), G(x) = x - silu(g) * stop_gradient(x), one g for both sub-layers."""

    def __init__(self):
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(), Attention()
        self.mlp_norm, self.mlp = RMSNorm(), Mlp()
        self.g = nn.Parameter(torch.zeros(()))

    def forward(self, h, cos, sin):
        share = F.silu(self.g)
        h = h + self.attention(self.attention_norm(h), cos, sin)
        h = h - share * h.detach()
        h = h + self.mlp(self.mlp_norm(h))
        return h - share * h.detach()


class Model(nn.Module):
    def __init__(self, length, chunked_loss):
        super().__init__()
        self.chunks = nn.LinearCrossEntropyOptions() if chunked_loss else None
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = RMSNorm()
        self.head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
        cos, sin = rope_tables(length)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INIT_STD)
        nn.init.normal_(self.embedding.weight, std=math.sqrt(2 / 5))

    def forward(self, tokens, labels):
        h = self.embedding(tokens)
        for layer in self.layers:
            h = layer(h, self.cos, self.sin)
        h, labels = self.norm(h).view(-1, HIDDEN), labels.view(-1)
        if self.chunks:
            return F.linear_cross_entropy(h, self.head.weight, labels, options=self.chunks)
        return F.cross_entropy(self.head(h), labels)


def peak_resident_bytes():
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="bf16: autocast")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="timed steps")
    parser.add_argument("--warmup", type=int, default=2, help="steps before")
    parser.add_argument("--batch", type=int, default=8, help="samples per step")
    parser.add_argument("--sequence", type=int, default=256, help="tokens a sample")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model (needs g++)")
    parser.add_argument("--chunked-loss", action="store_true", help="linear_cross_entropy in chunks: fewer logits at a time")
    options = parser.parse_args()

    at_import_bytes = peak_resident_bytes()  # of which the libraries for CUDA in PyPI's build are a part
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = Model(options.sequence, options.chunked_loss)
    parameters = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)
    loss_of = torch.compile(model) if options.compile else model
    stream = torch.randint(VOCABULARY, (options.warmup + options.steps, options.batch, options.sequence + 1))

    seconds, loss = [], 0.0
    for i, sample in enumerate(stream):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.dtype == "bf16"):
            result = loss_of(sample[:, :-1].contiguous(), sample[:, 1:].contiguous())
        result.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss = result.item()
        if i >= options.warmup:
            seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "torch": torch.__version__, "python": platform.python_version(), "dtype": options.dtype,
        "compiled": options.compile, "chunked_loss": options.chunked_loss, "threads": options.threads, "parameters": parameters,
        "seconds": [round(s, 5) for s in seconds], "tokens_per_step": options.batch * options.sequence,
        "peak_rss_bytes": peak_resident_bytes(), "at_import_bytes": at_import_bytes, "loss": round(loss, 4)}))


if __name__ == "__main__":
    main()
