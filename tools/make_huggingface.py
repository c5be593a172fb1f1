#!/usr/bin/python3
"""Writes tests/data/huggingface_*: small models as transformers saves them, with logits computed by an independent
implementation (PyTorch, float64) of what transformers' model classes compute: weights in transformers' order, rotary
positions by rotate_half (Su et al. 2021, in the form of GPT-NeoX), norms of Gemma with 1 + weight (Gemma 3 report), QKV
biases (Qwen2), norms of q and k (Qwen3), layers without rotary positions (SmolLM3), Conv1D (GPT-2).

    python3 tools/make_huggingface.py [FOLDER]

Beside the files of each model: golden.bin, int32 number of tokens, the tokens, then f32 logits [tokens, vocab]."""
import json
import math
import os
import struct
import sys

import numpy as np
import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
TOKENS = 20
VOCAB = 40

LLAMA_LIKE = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, head_dim=6, max_position_embeddings=32, rms_norm_eps=1e-5, hidden_act="silu",
                  rope_theta=10000.0, rope_scaling=None, tie_word_embeddings=False, attention_bias=False,
                  bos_token_id=1, eos_token_id=2, torch_dtype="float32")
CASES = {
    "llama": dict(LLAMA_LIKE, architectures=["LlamaForCausalLM"], model_type="llama", mlp_bias=False),
    "llama_scaled": dict(LLAMA_LIKE, architectures=["LlamaForCausalLM"], model_type="llama", tie_word_embeddings=True,
                         torch_dtype="bfloat16", rope_scaling=dict(
                             rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=16)),
    "qwen2": dict(LLAMA_LIKE, architectures=["Qwen2ForCausalLM"], model_type="qwen2", use_sliding_window=False,
                  sliding_window=8, max_window_layers=2, torch_dtype="bfloat16"),
    "qwen3": dict(LLAMA_LIKE, architectures=["Qwen3ForCausalLM"], model_type="qwen3", head_dim=8,
                  use_sliding_window=False, tie_word_embeddings=True, torch_dtype="float16"),
    "gemma3": dict(LLAMA_LIKE, architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", num_hidden_layers=3,
                   hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=10, rope_theta=1e6,
                   rope_local_base_freq=10000.0, sliding_window=5, tie_word_embeddings=True, torch_dtype="bfloat16",
                   layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
    "smollm3": dict(LLAMA_LIKE, architectures=["SmolLM3ForCausalLM"], model_type="smollm3", num_hidden_layers=4,
                    no_rope_layers=[1, 1, 1, 0], no_rope_layer_interval=4, use_sliding_window=False,
                    sliding_window=None, tie_word_embeddings=True, torch_dtype="bfloat16"),
    "gpt2": dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=VOCAB, n_embd=24, n_layer=2, n_head=4,
                 n_inner=None, n_positions=32, n_ctx=32, layer_norm_epsilon=1e-5, activation_function="gelu_new",
                 tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, torch_dtype="float32"),
}
CASES["gemma3"].pop("hidden_act")


def shapes(c):
    """{name: shape} in transformers' names."""
    if c["model_type"] == "gpt2":
        d, h = c["n_embd"], 4 * c["n_embd"]
        out = {"wte.weight": [VOCAB, d], "wpe.weight": [c["n_positions"], d], "ln_f.weight": [d], "ln_f.bias": [d]}
        for i in range(c["n_layer"]):
            p = f"h.{i}."
            for name, shape in [("attn.c_attn", [d, 3 * d]), ("attn.c_proj", [d, d]), ("mlp.c_fc", [d, h]),
                                ("mlp.c_proj", [h, d])]:
                out[p + name + ".weight"], out[p + name + ".bias"] = shape, shape[1:]
            for name in ["ln_1", "ln_2"]:
                out[p + name + ".weight"] = out[p + name + ".bias"] = [d]
        return out
    d, n, h = c["hidden_size"], c["head_dim"], c["intermediate_size"]
    q, kv = c["num_attention_heads"] * n, c["num_key_value_heads"] * n
    out = {"model.embed_tokens.weight": [VOCAB, d], "model.norm.weight": [d]}
    gemma = c["model_type"] == "gemma3_text"
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for name, shape in [("q", [q, d]), ("k", [kv, d]), ("v", [kv, d])]:
            out[p + f"self_attn.{name}_proj.weight"] = shape
            if c["model_type"] == "qwen2":
                out[p + f"self_attn.{name}_proj.bias"] = shape[:1]
        out[p + "self_attn.o_proj.weight"] = [d, q]
        if gemma or c["model_type"] == "qwen3":
            out[p + "self_attn.q_norm.weight"] = out[p + "self_attn.k_norm.weight"] = [n]
        for name in ["input", "post_attention"] + (["pre_feedforward", "post_feedforward"] if gemma else []):
            out[p + name + "_layernorm.weight"] = [d]
        out[p + "mlp.gate_proj.weight"] = out[p + "mlp.up_proj.weight"] = [h, d]
        out[p + "mlp.down_proj.weight"] = [d, h]
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = [VOCAB, d]
    return out


def random_weight(random, c, name, shape):
    norm = "norm" in name or "ln_" in name
    if len(shape) == 1:
        base = 1.0 if norm and name.endswith("weight") and c["model_type"] != "gemma3_text" else 0.0
        return base + 0.1 * random.standard_normal(shape)
    fan_in = shape[0] if c["model_type"] == "gpt2" and "w" not in name.split(".")[0] else shape[1]
    return random.standard_normal(shape) * (0.3 if "embed" in name or name in ("wte.weight", "wpe.weight")
                                            else 0.9 / math.sqrt(fan_in))


def frequencies(c, base):
    n, s = c["head_dim"], c["rope_scaling"]
    inverse = 1.0 / base ** (torch.arange(0, n, 2) / n)
    if not s:
        return inverse
    old, low, high = s["original_max_position_embeddings"], s["low_freq_factor"], s["high_freq_factor"]
    out = []
    for f in inverse.tolist():
        wavelength = 2 * math.pi / f
        if wavelength < old / high:
            out.append(f)
        elif wavelength > old / low:
            out.append(f / s["factor"])
        else:
            smooth = (old / wavelength - low) / (high - low)
            out.append((1 - smooth) * f / s["factor"] + smooth * f)
    return torch.tensor(out)


def rotate(x, base, c):
    """x [heads, tokens, n]"""
    angle = torch.arange(x.shape[1])[:, None] * frequencies(c, base)[None]
    angle = torch.cat([angle, angle], -1)
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * angle.cos() + turned * angle.sin()


def attend(q, k, v, scale, window):
    t = q.shape[1]
    i, j = torch.arange(t)[:, None], torch.arange(t)[None]
    seen = (j <= i) & (j > i - window if window else j >= 0)
    k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], 0) for x in (k, v))
    score = (q @ k.transpose(1, 2) * scale).masked_fill(~seen, float("-inf"))
    return (torch.softmax(score, -1) @ v).transpose(0, 1).reshape(t, -1)


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def llama_like(w, c, tokens):
    n, eps, kind = c["head_dim"], c["rms_norm_eps"], c["model_type"]
    gemma = kind == "gemma3_text"

    def norm(x, name):
        gain = w[name + ".weight"] + (1 if gemma else 0)
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * gain

    def linear(x, name):
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    x = w["model.embed_tokens.weight"][tokens] * (math.sqrt(c["hidden_size"]) if gemma else 1)
    for i in range(c["num_hidden_layers"]):
        p, window = f"model.layers.{i}.", 0
        y = norm(x, p + "input_layernorm")
        q, k, v = (linear(y, p + f"self_attn.{m}_proj").reshape(len(tokens), -1, n).transpose(0, 1) for m in "qkv")
        if gemma or kind == "qwen3":
            q, k = norm(q, p + "self_attn.q_norm"), norm(k, p + "self_attn.k_norm")
        base, scale = c["rope_theta"], n ** -0.5
        if gemma:
            scale = c["query_pre_attn_scalar"] ** -0.5
            if c["layer_types"][i] == "sliding_attention":
                base, window = c["rope_local_base_freq"], c["sliding_window"]
        if "no_rope_layers" not in c or c["no_rope_layers"][i]:
            q, k = rotate(q, base, c), rotate(k, base, c)
        y = linear(attend(q, k, v, scale, window), p + "self_attn.o_proj")
        x = x + (norm(y, p + "post_attention_layernorm") if gemma else y)
        y = norm(x, p + ("pre_feedforward_layernorm" if gemma else "post_attention_layernorm"))
        gate = linear(y, p + "mlp.gate_proj")
        gate = gelu(gate) if gemma else gate * torch.sigmoid(gate)
        y = linear(gate * linear(y, p + "mlp.up_proj"), p + "mlp.down_proj")
        x = x + (norm(y, p + "post_feedforward_layernorm") if gemma else y)
    return norm(x, "model.norm") @ w["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"].T


def gpt2(w, c, tokens):
    def norm(x, name):
        return torch.nn.functional.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"],
                                              c["layer_norm_epsilon"])

    def conv1d(x, name):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    n = c["n_embd"] // c["n_head"]
    x = w["wte.weight"][tokens] + w["wpe.weight"][: len(tokens)]
    for i in range(c["n_layer"]):
        p = f"h.{i}."
        q, k, v = conv1d(norm(x, p + "ln_1"), p + "attn.c_attn").split(c["n_embd"], -1)
        q, k, v = (y.reshape(len(tokens), -1, n).transpose(0, 1) for y in (q, k, v))
        x = x + conv1d(attend(q, k, v, n ** -0.5, 0), p + "attn.c_proj")
        x = x + conv1d(gelu(conv1d(norm(x, p + "ln_2"), p + "mlp.c_fc")), p + "mlp.c_proj")
    return norm(x, "ln_f") @ w["wte.weight"].T


def to_file(t, dtype):
    """(bytes, what they stand for in float64)"""
    kept = torch.tensor(t).to(getattr(torch, dtype))
    data = kept.view(torch.int16).numpy().tobytes() if dtype != "float32" else kept.numpy().tobytes()
    return data, kept.double()


def write_safetensors(path, tensors):
    """tensors: {name: (dtype, shape, bytes)}; in the reference's order, all of one dtype but for masks."""
    order = ["BOOL", "F16", "BF16", "F32"]
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, content) in sorted(tensors.items(), key=lambda x: (-order.index(x[1][0]), x[0])):
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[len(data), len(data) + len(content)])
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def make(name, c, seed, folder):
    folder = os.path.join(folder, f"huggingface_{name}")
    os.makedirs(folder, exist_ok=True)
    random = np.random.RandomState(seed)
    tensors, w = {}, {}
    short = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[c["torch_dtype"]]
    for tensor, shape in shapes(c).items():
        data, w[tensor] = to_file(random_weight(random, c, tensor, shape), c["torch_dtype"])
        tensors[tensor] = (short, shape, data)
    if c["model_type"] == "gpt2":  # the causal masks that the model on the hub still has
        for i in range(c["n_layer"]):
            mask = np.tril(np.ones((1, 1, 32, 32), np.uint8))
            tensors[f"h.{i}.attn.bias"] = ("BOOL", [1, 1, 32, 32], mask.tobytes())
    tokens = random.randint(0, VOCAB, TOKENS)
    logits = (gpt2 if c["model_type"] == "gpt2" else llama_like)(w, c, tokens)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    for file, content in [("config.json", c),
                          ("generation_config.json", dict(bos_token_id=1, eos_token_id=[2, 5], do_sample=True,
                                                          temperature=0.6, top_p=0.9))]:
        with open(os.path.join(folder, file), "w") as f:
            f.write(json.dumps(c if file == "config.json" else content, indent=2) + "\n")
    with open(os.path.join(folder, "golden.bin"), "wb") as f:
        f.write(struct.pack("<i", TOKENS) + tokens.astype("<i4").tobytes() + logits.numpy().astype("<f4").tobytes())
    print(folder, sum(os.path.getsize(os.path.join(folder, x)) for x in os.listdir(folder)), "bytes")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "data")
    for number, (case, config) in enumerate(CASES.items()):
        make(case, config, 2000 + number, target)
