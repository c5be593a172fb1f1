"""Merged weights of LoRA adapters, computed with numpy as PEFT does in transformers' order of rows; they go to the
order of GGUF by the formula of convert_hf_to_gguf.py. All values are small multiples of powers of two, so that every
order of summation gives the same bits. tests/test_lora.c makes the same bases and adapters. Run by `make goldens`."""
import numpy as np

KINDS = ["token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "output",
         "attn_qkv"]
VOCAB, DIM, HEADS, KV_HEADS, HIDDEN, LAYERS = 10, 16, 4, 2, 24, 2
KV = DIM // HEADS * KV_HEADS
SHAPES = {"token_embd": (VOCAB, DIM), "attn_q": (DIM, DIM), "attn_k": (KV, DIM), "attn_v": (KV, DIM),
          "attn_output": (DIM, DIM), "ffn_gate": (HIDDEN, DIM), "ffn_up": (HIDDEN, DIM), "ffn_down": (DIM, HIDDEN),
          "output": (VOCAB, DIM), "attn_qkv": (3 * DIM, DIM)}


def grid(rows, cols, by_row, by_col, plus, modulus, divisor):
    r, c = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    return (((r * by_row + c * by_col + plus) % modulus - modulus // 2) / divisor).astype(np.float64)


def to_gguf(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def to_transformers(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(w.shape)


def merged(kind, layer, scale, rank, times=1, llama=True):
    k = KINDS.index(kind) + 3 * layer
    rows, cols = SHAPES[kind]
    w = grid(rows, cols, 7, 3, k, 23, 16)
    heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(kind) if llama else None
    if heads:
        w = to_transformers(w, heads)
    if kind == "token_embd":
        a, b = grid(rank, rows, 5, 3, k, 7, 8), grid(cols, rank, 3, 11, 2 * k, 5, 4)
        delta = (b @ a).T
    else:
        a, b = grid(rank, cols, 5, 3, k, 7, 8), grid(rows, rank, 3, 11, 2 * k, 5, 4)
        delta = b @ a
    w = w + times * scale * delta
    return to_gguf(w, heads) if heads else w


def line(case, kind, layer, w):
    flat = w.astype(np.float32).astype(np.float64).reshape(-1)
    assert (flat == w.reshape(-1)).all()
    weighted = float((flat * (np.arange(flat.size) % 97 + 1)).sum())
    return f"{case} {kind} {layer} {flat.sum():.10g} {weighted:.10g}\n"


def main():
    out = ["case weight layer sum sum_by_place\n"]
    for layer in range(LAYERS):
        for kind in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate"]:
            out.append(line("plain", kind, layer, merged(kind, layer, 8 / 4, 4)))
            out.append(line("stable", kind, layer, merged(kind, layer, 8 / np.sqrt(4), 4)))
            out.append(line("twice", kind, layer, merged(kind, layer, 8 / 4 * 0.5, 4, times=2)))
            rank = 2 if kind == "attn_q" and layer == 1 else 4
            alpha = 16 if kind == "attn_v" else 8
            out.append(line("patterns", kind, layer, merged(kind, layer, alpha / rank, rank)))
            out.append(line("gguf", kind, layer, merged(kind, layer, 8 / 4, 4)))
        for kind in ["attn_qkv", "attn_output"]:
            out.append(line("gpt2", kind, layer, merged(kind, layer, 8 / 4, 4, llama=False)))
    for case in ["plain", "gguf"]:
        out.append(line(case, "token_embd", 0, merged("token_embd", 0, 8 / 4, 4)))
        out.append(line(case, "output", 0, merged("output", 0, 8 / 4, 4)))
    with open("tests/data/golden_lora.txt", "w", encoding="ascii") as file:
        file.writelines(out)


main()
