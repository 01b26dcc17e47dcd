#!/usr/bin/env python3
"""One training step of the model of configs/1b.yaml in PyTorch on a GPU: what compare_gpu.py compares bench_step with.

Written as a good user of PyTorch would: fused attention, RMSNorm and AdamW of the library, bf16 by autocast, fp32 weights
and moments. Synthetic tokens. Prints one JSON object; without PyTorch or a GPU, {"skipped": why} (exit code 0).
"""
import argparse
import json
import math
import platform
import statistics
import sys
import time
from dataclasses import dataclass

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    print(json.dumps({"skipped": f"no PyTorch for {sys.executable}: {error}"}))
    sys.exit(0)

NORM_EPS, ROPE_BASE, INIT_STD = 1e-6, 10000.0, 0.02


@dataclass
class Sizes:
    hidden: int = 2048
    ffn: int = 5461
    heads: int = 32
    layers: int = 24
    vocabulary: int = 32000


SHAPES = {"1b": Sizes(), "tiny": Sizes(hidden=64, ffn=172, heads=4, layers=2, vocabulary=500)}


def rms_norm(size):
    return nn.RMSNorm(size, eps=NORM_EPS)


def rope_tables(length, head_dim):
    frequencies = ROPE_BASE ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.heads = sizes.heads
        self.qkv = nn.Linear(sizes.hidden, 3 * sizes.hidden, bias=False)
        self.o = nn.Linear(sizes.hidden, sizes.hidden, bias=False)

    def forward(self, x, cos, sin):
        batch, length, hidden = x.shape
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        cos, sin = cos.to(q.dtype), sin.to(q.dtype)
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return self.o(y.transpose(1, 2).reshape(batch, length, hidden))


class Mlp(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.gate_up = nn.Linear(sizes.hidden, 2 * sizes.ffn, bias=False)
        self.down = nn.Linear(sizes.ffn, sizes.hidden, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Layer(nn.Module):
    """pre: h <- h + F(N(h)). pre_gpas: h <- G(h + F(N(h))), G(x) = x - silu(g) * stop_gradient(x), one g for both."""

    def __init__(self, sizes, gated):
        super().__init__()
        self.attention_norm, self.attention = rms_norm(sizes.hidden), Attention(sizes)
        self.mlp_norm, self.mlp = rms_norm(sizes.hidden), Mlp(sizes)
        self.g = nn.Parameter(torch.zeros(())) if gated else None

    def gate(self, h):
        return h if self.g is None else h - (F.silu(self.g) * h.detach()).to(h.dtype)

    def forward(self, h, cos, sin):
        h = self.gate(h + self.attention(self.attention_norm(h), cos, sin))
        return self.gate(h + self.mlp(self.mlp_norm(h)))


class Model(nn.Module):
    def __init__(self, sizes, length, gated, stream):
        super().__init__()
        self.stream = stream
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.layers = nn.ModuleList(Layer(sizes, gated) for _ in range(sizes.layers))
        self.norm = rms_norm(sizes.hidden)
        self.head = nn.Linear(sizes.hidden, sizes.vocabulary, bias=False)
        cos, sin = rope_tables(length, sizes.hidden // sizes.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INIT_STD)
        nn.init.normal_(self.embedding.weight, std=math.sqrt(2 / 5))

    def forward(self, tokens, labels):
        h = self.embedding(tokens).to(self.stream)
        for layer in self.layers:
            h = layer(h, self.cos, self.sin)
        logits = self.head(self.norm(h))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]).float(), labels.reshape(-1))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="1b")
    parser.add_argument("--ffn", type=int, help="another width of the MLP: 5461 is odd, 5504 suits tensor cores")
    parser.add_argument("--architecture", choices=["pre", "pre_gpas"], default="pre_gpas")
    parser.add_argument("--stream", choices=["fp32", "bf16"], default="fp32",
                        help="the residual stream; autocast alone leaves it fp32, gpas has bf16")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: to try this script")
    parser.add_argument("--batch", type=int, default=8, help="samples per step")
    parser.add_argument("--sequence", type=int, default=2048, help="tokens a sample")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model (needs a C compiler)")
    return parser.parse_args()


def train(options, device):
    """Seconds of the timed steps, the last loss, the number of parameters."""
    sizes = SHAPES[options.shape]
    sizes.ffn = options.ffn or sizes.ffn
    torch.manual_seed(1)
    with torch.device(device):
        model = Model(sizes, options.sequence, options.architecture == "pre_gpas",
                      torch.bfloat16 if options.stream == "bf16" else torch.float32)
        stream = torch.randint(sizes.vocabulary, (options.warmup + options.steps, options.batch, options.sequence + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)
    loss_of = torch.compile(model) if options.compile else model
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds, loss = [], math.nan
    for i, sample in enumerate(stream):
        synchronize()
        start = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            result = loss_of(sample[:, :-1].contiguous(), sample[:, 1:].contiguous())
        result.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss = result.item()
        synchronize()
        if i >= options.warmup:
            seconds.append(time.perf_counter() - start)
    return seconds, loss, sum(p.numel() for p in model.parameters())


def main():
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"skipped": f"PyTorch {torch.__version__} sees no GPU"}))
        return
    device = torch.device(options.device)
    seconds, loss, parameters = train(options, device)
    tokens = options.batch * options.sequence
    on_gpu = device.type == "cuda"
    print(json.dumps({
        "torch": torch.__version__, "cuda": torch.version.cuda, "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu", "architecture": options.architecture,
        "stream": options.stream, "compiled": options.compile, "parameters": parameters,
        "seconds": [round(s, 5) for s in seconds], "tokens_per_step": tokens,
        "tokens_per_second": round(tokens / statistics.median(seconds)),
        "peak_allocated_bytes": torch.cuda.max_memory_allocated() if on_gpu else 0,
        "peak_reserved_bytes": torch.cuda.max_memory_reserved() if on_gpu else 0, "loss": round(loss, 4)}))


if __name__ == "__main__":
    main()
