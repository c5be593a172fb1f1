#!/usr/bin/python3
"""Writes tests/data/golden_*.bin: small models computed by an independent implementation (PyTorch, float64, autograd),
written from the papers: Llama (Touvron et al. 2023), RoPE (Su et al. 2021), RMSNorm (Zhang, Sennrich 2019), SwiGLU
(Shazeer 2020), GQA (Ainslie et al. 2023), GPT-2 (Radford et al. 2019), AdamW (Loshchilov, Hutter 2019), YaRN (Peng et
al. 2023), Gemma 3 (Gemma Team 2025), and what transformers' modeling_qwen2, _qwen3, _gemma3, _smollm3 and
modeling_rope_utils compute.

    python3 tools/make_goldens.py [FOLDER]

The files are the same bytes on every run. A file is lines of text, then binary, all little-endian:

    mote-golden 1
    <key> <value>                      the config: family, vocab, context, dim, layers, heads, kv_heads, head_dim,
                                       hidden, window, tied, bias, qk_norm, halves (pairing of RoPE), norm_epsilon, rope_base;
                                       of some cases what MORE has, under the names of mote_config;
                                       then rows, sequences, steps: of a batch, and batches
    tensor <name> <rows> <cols> <base> in the order of the data; rows 0: a vector
    data
    int8  [rows * cols] of each tensor     weight = base + value / 256: exact in every float type
    int32 [sequences]                      their lengths; their sum is rows
    int32 [steps][2][rows]                 tokens, then targets (-1: none) of each batch
    f32   [rows][vocab]                    logits of batch 0
    f64                                    mean loss of batch 0 over its targets, nats
    f32   [rows * cols] of each tensor     gradient of that loss
    f64   [steps]                          loss of each batch before its AdamW step (lr 1e-3, betas 0.9 and 0.95,
                                           epsilon 1e-8, weight decay 0.1 on tensors of two dimensions)
"""
import os
import struct
import sys

import numpy as np
import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

LENGTHS = [24, 7, 1, 13]
STEPS = 10
EPSILON = 1e-5
BASE = dict(vocab=37, context=24, dim=24, layers=2, heads=4, kv_heads=4, head_dim=6, hidden=40, window=0, tied=1,
            bias=0, qk_norm=0, halves=0, norm_epsilon=EPSILON, rope_base=10000)
MORE = dict(full_attention_period=0, no_rope_period=0, rope_base_window=0, query_scale=0, rope_scaling=0, rope_factor=0,
            rope_original_context=0, rope_low=0, rope_high=0, rope_attention_factor=0)
LINEAR, LLAMA3, YARN = 1, 2, 3
SMALL = dict(vocab=29, dim=16, hidden=24)
TURNS = dict(SMALL, kv_heads=2, head_dim=8, rope_base=100)  # four pairs: some fast, some slow
CASES = {
    "llama_mha_tied": dict(family="llama"),
    "llama_gqa_bias": dict(family="llama", kv_heads=2, tied=0, bias=1),
    "llama_mqa_qk_norm": dict(family="llama", kv_heads=1, head_dim=8, qk_norm=1, halves=1),
    "llama_window": dict(family="llama", kv_heads=2, window=5),
    "gpt2": dict(family="gpt2", bias=1, hidden=48),
    "qwen2": dict(SMALL, family="qwen2", kv_heads=2, head_dim=4, bias=1, halves=1, rope_base=1000000),
    "qwen3": dict(SMALL, family="qwen3", kv_heads=2, head_dim=8, tied=0, qk_norm=1, halves=1),
    "gemma3": dict(SMALL, family="gemma3", layers=3, kv_heads=1, head_dim=8, window=4, qk_norm=1, halves=1,
                   rope_base=1000, full_attention_period=2, rope_base_window=50, query_scale=0.3, rope_scaling=LINEAR,
                   rope_factor=8),
    "smollm3": dict(SMALL, family="smollm3", layers=5, kv_heads=2, no_rope_period=4),
    "llama_linear": dict(TURNS, family="llama", rope_scaling=LINEAR, rope_factor=4),
    "llama_llama3": dict(TURNS, family="llama", rope_scaling=LLAMA3, rope_factor=8, rope_original_context=24,
                         rope_low=1, rope_high=3),
    "llama_yarn": dict(TURNS, family="llama", rope_scaling=YARN, rope_factor=4, rope_original_context=32, rope_low=1,
                       rope_high=32),
    "qwen2_yarn_attention": dict(TURNS, family="qwen2", heads=2, bias=1, halves=1, rope_scaling=YARN, rope_factor=4,
                                 rope_original_context=128, rope_low=1, rope_high=4, rope_attention_factor=1.25),
}


def tensors_of(c):
    """(name, rows, cols, base, deviation); rows 0: a vector."""
    d, q, kv, h = c["dim"], c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"], c["hidden"]
    out = [("token_embd.weight", c["vocab"], d, 0, 0.2)]

    def linear(name, rows, cols, bias):
        out.append((name + ".weight", rows, cols, 0, 0.8 / np.sqrt(cols)))
        if bias:
            out.append((name + ".bias", 0, rows, 0, 0.1))

    def norm(name, cols, bias):
        out.append((name + ".weight", 0, cols, 1, 0.1))
        if bias:
            out.append((name + ".bias", 0, cols, 0, 0.1))

    gpt2, gemma = c["family"] == "gpt2", c["family"] == "gemma3"
    if gpt2:
        out.append(("position_embd.weight", c["context"], d, 0, 0.1))
    for i in range(c["layers"]):
        b = f"blk.{i}."
        norm(b + "attn_norm", d, gpt2)
        if gpt2:
            linear(b + "attn_qkv", 3 * d, d, True)
        else:
            linear(b + "attn_q", q, d, c["bias"])
            linear(b + "attn_k", kv, d, c["bias"])
            linear(b + "attn_v", kv, d, c["bias"])
            if c["qk_norm"]:
                norm(b + "attn_q_norm", c["head_dim"], False)
                norm(b + "attn_k_norm", c["head_dim"], False)
        linear(b + "attn_output", d, q, gpt2)
        if gemma:
            norm(b + "post_attention_norm", d, False)
        norm(b + "ffn_norm", d, gpt2)
        if not gpt2:
            linear(b + "ffn_gate", h, d, False)
        linear(b + "ffn_up", h, d, gpt2)
        linear(b + "ffn_down", d, h, gpt2)
        if gemma:
            norm(b + "post_ffw_norm", d, False)
    norm("output_norm", d, gpt2)
    if not c["tied"]:
        linear("output", c["vocab"], d, False)
    return out


def rms_norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPSILON) * gain


def layer_norm(x, gain, bias):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + EPSILON) * gain + bias


def is_local(c, layer):
    return c["window"] > 0 and not (c["full_attention_period"] and (layer + 1) % c["full_attention_period"] == 0)


def turns(c, layer):
    """Radians a position adds to each pair, and the length of the turned pairs."""
    n, factor, low, high = c["head_dim"], c["rope_factor"], c["rope_low"], c["rope_high"]
    if is_local(c, layer) and c["rope_base_window"]:
        return c["rope_base_window"] ** (-2.0 * torch.arange(n // 2) / n), 1.0
    frequency = c["rope_base"] ** (-2.0 * torch.arange(n // 2) / n)
    context = c["rope_original_context"]
    if c["rope_scaling"] == LINEAR:
        return frequency / factor, 1.0
    if c["rope_scaling"] == LLAMA3:
        wavelength = 2 * np.pi / frequency
        smooth = (context / wavelength - low) / (high - low)
        medium = (1 - smooth) * frequency / factor + smooth * frequency
        slow = torch.where(wavelength > context / low, frequency / factor, medium)
        return torch.where(wavelength < context / high, frequency, slow), 1.0
    if c["rope_scaling"] == YARN:
        def pair_of(rotations):
            return n * np.log(context / (rotations * 2 * np.pi)) / (2 * np.log(c["rope_base"]))
        first, last = max(np.floor(pair_of(high)), 0), min(np.ceil(pair_of(low)), n - 1)
        ramp = torch.clamp((torch.arange(n // 2) - first) / (last - first), 0, 1)
        length = c["rope_attention_factor"] or 0.1 * np.log(factor) + 1
        return frequency / factor * ramp + frequency * (1 - ramp), length
    return frequency, 1.0


def rope(x, c, layer):
    """x [tokens, heads, head_dim]: each pair turned as a complex number by position * frequency."""
    n = c["head_dim"]
    frequency, length = turns(c, layer)
    angle = torch.arange(x.shape[0])[:, None] * frequency[None]
    turn = torch.polar(torch.full_like(angle, length), angle)[:, None, :]
    if c["halves"]:
        z = torch.complex(x[..., : n // 2], x[..., n // 2:]) * turn
        return torch.cat([z.real, z.imag], -1)
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], n // 2, 2).contiguous()) * turn
    return torch.view_as_real(z).reshape(x.shape)


def attention(q, k, v, c, layer):
    """q [tokens, heads, n], k and v [tokens, kv_heads, n]; each sequence by itself."""
    tokens, heads, n = q.shape
    group = heads // k.shape[1]
    i, j = torch.arange(tokens)[:, None], torch.arange(tokens)[None]
    seen = (j <= i) & ((i - j < c["window"]) if is_local(c, layer) else (j >= 0))
    divisor = 1 / c["query_scale"] if c["query_scale"] else n ** 0.5
    out = []
    for h in range(heads):
        score = q[:, h] @ k[:, h // group].T / divisor
        out.append(torch.softmax(score.masked_fill(~seen, float("-inf")), -1) @ v[:, h // group])
    return torch.stack(out, 1).reshape(tokens, heads * n)


def forward(w, c, tokens):
    """One sequence [tokens] -> logits [tokens, vocab]."""
    gpt2, gemma = c["family"] == "gpt2", c["family"] == "gemma3"
    n, heads, kv_heads = c["head_dim"], c["heads"], c["kv_heads"]

    def linear(name, x):
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    def norm(name, x):
        return layer_norm(x, w[name + ".weight"], w[name + ".bias"]) if gpt2 else rms_norm(x, w[name + ".weight"])

    def gelu(u):
        return 0.5 * u * (1 + torch.tanh((2 / np.pi) ** 0.5 * (u + 0.044715 * u ** 3)))

    x = w["token_embd.weight"][tokens]
    if gemma:
        x = x * c["dim"] ** 0.5
    if gpt2:
        x = x + w["position_embd.weight"][: len(tokens)]
    for i in range(c["layers"]):
        b = f"blk.{i}."
        y = norm(b + "attn_norm", x)
        if gpt2:
            q, k, v = linear(b + "attn_qkv", y).split(heads * n, -1)
        else:
            q, k, v = linear(b + "attn_q", y), linear(b + "attn_k", y), linear(b + "attn_v", y)
        q, k, v = q.reshape(-1, heads, n), k.reshape(-1, kv_heads, n), v.reshape(-1, kv_heads, n)
        if c["qk_norm"]:
            q, k = norm(b + "attn_q_norm", q), norm(b + "attn_k_norm", k)
        if not gpt2 and not (c["no_rope_period"] and (i + 1) % c["no_rope_period"] == 0):
            q, k = rope(q, c, i), rope(k, c, i)
        y = linear(b + "attn_output", attention(q, k, v, c, i))
        x = x + (norm(b + "post_attention_norm", y) if gemma else y)
        y = norm(b + "ffn_norm", x)
        if gpt2:
            y = gelu(linear(b + "ffn_up", y))
        else:
            g = linear(b + "ffn_gate", y)
            y = (gelu(g) if gemma else g / (1 + torch.exp(-g))) * linear(b + "ffn_up", y)
        y = linear(b + "ffn_down", y)
        x = x + (norm(b + "post_ffw_norm", y) if gemma else y)
    x = norm("output_norm", x)
    return x @ w["token_embd.weight" if c["tied"] else "output.weight"].T


def batch_loss(w, c, tokens, targets):
    logits, at = [], 0
    for length in LENGTHS:
        logits.append(forward(w, c, torch.tensor(tokens[at:at + length].astype(np.int64))))
        at += length
    logits = torch.cat(logits)
    rows = np.flatnonzero(targets >= 0)
    picked = logits[torch.tensor(rows), torch.tensor(targets[rows].astype(np.int64))]
    return logits, (torch.logsumexp(logits, -1)[torch.tensor(rows)] - picked).mean()


def make(name, change, seed, folder):
    c = dict(BASE, **MORE)
    c.update(change)
    random = np.random.RandomState(seed)
    shapes = tensors_of(c)
    stored, w = [], {}
    for tensor, rows, cols, base, deviation in shapes:
        q = np.clip(np.rint(random.standard_normal(max(rows, 1) * cols) * deviation * 256), -127, 127).astype(np.int8)
        stored.append(q)
        value = base + q.astype(np.float64) / 256
        w[tensor] = torch.tensor(value.reshape(rows, cols) if rows else value, requires_grad=True)
    rows = sum(LENGTHS)
    batches = random.randint(0, c["vocab"], (STEPS, 2, rows)).astype(np.int32)
    batches[:, 1][random.uniform(size=(STEPS, rows)) < 0.15] = -1

    logits, loss = batch_loss(w, c, batches[0, 0], batches[0, 1])
    gradients = torch.autograd.grad(loss, list(w.values()))

    optimizer = torch.optim.AdamW([{"params": [p for p in w.values() if p.dim() == 2], "weight_decay": 0.1},
                                   {"params": [p for p in w.values() if p.dim() < 2], "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        step_loss = batch_loss(w, c, batches[step, 0], batches[step, 1])[1]
        step_loss.backward()
        optimizer.step()
        losses.append(step_loss.item())

    with open(os.path.join(folder, f"golden_{name}.bin"), "wb") as f:
        lines = ["mote-golden 1", f"family {c['family']}"] + [f"{k} {c[k]}" for k in BASE] + [f"{k} {c[k]}" for k in MORE if k in change]
        lines += [f"rows {rows}", f"sequences {len(LENGTHS)}", f"steps {STEPS}"]
        lines += [f"tensor {t} {r} {n} {base}" for t, r, n, base, _ in shapes] + ["data", ""]
        f.write("\n".join(lines).encode())
        for q in stored:
            f.write(q.tobytes())
        f.write(np.array(LENGTHS, "<i4").tobytes())
        f.write(batches.astype("<i4").tobytes())
        f.write(logits.detach().numpy().astype("<f4").tobytes())
        f.write(struct.pack("<d", loss.item()))
        for g in gradients:
            f.write(g.numpy().astype("<f4").tobytes())
        f.write(struct.pack(f"<{STEPS}d", *losses))
        print(f"{f.name}: {f.tell()} bytes, loss {loss.item():.6f}, after {STEPS - 1} steps {losses[-1]:.6f}")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "data")
    for number, (case, changes) in enumerate(CASES.items()):
        make(case, changes, 1000 + number, target)
