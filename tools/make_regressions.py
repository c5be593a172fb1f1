#!/usr/bin/env python3
"""Writes tests/regressions/: one file for each fault that befell another reader of models. tests/test_regressions.c
says which error each must end in. Run from the project's root; the files are committed, so tests need no Python."""
import json
import os
import struct

FOLDER = "tests/regressions"
U8, U32, I32, F32, STRING, ARRAY, U64 = 0, 4, 5, 6, 8, 9, 10
WIDTH, VOCAB, HIDDEN = 8, 16, 16


def u32(value):
    return struct.pack("<I", value & 0xFFFFFFFF)


def u64(value):
    return struct.pack("<Q", value & 0xFFFFFFFFFFFFFFFF)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return u64(len(value)) + value


def key(name, kind, payload):
    return text(name) + u32(kind) + payload


def array(name, element, count, payload):
    return key(name, ARRAY, u32(element) + u64(count) + payload)


def texts(name, values):
    return array(name, STRING, len(values), b"".join(text(v) for v in values))


def tensor(name, dims, kind=0, offset=0, n_dims=None):
    count = u32(len(dims) if n_dims is None else n_dims)
    return text(name) + count + b"".join(u64(d) for d in dims) + u32(kind) + u64(offset)


def gguf(keys=(), tensors=(), data=b"", n_keys=None, n_tensors=None, alignment=32):
    head = b"GGUF" + u32(3) + u64(len(tensors) if n_tensors is None else n_tensors)
    head += u64(len(keys) if n_keys is None else n_keys) + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % alignment if tensors else 0) + data


TOKENS = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(0x61, 0x6B)] + ["▁a", "b", "ab"]


def model(changes={}, drop=(), shapes={}):
    """A whole llama model of one layer, with some keys replaced or left out and some tensors given other shapes."""
    keys = {
        "general.architecture": (STRING, text("llama")),
        "llama.vocab_size": (U32, u32(VOCAB)),
        "llama.context_length": (U32, u32(16)),
        "llama.embedding_length": (U32, u32(WIDTH)),
        "llama.block_count": (U32, u32(1)),
        "llama.feed_forward_length": (U32, u32(HIDDEN)),
        "llama.attention.head_count": (U32, u32(2)),
        "llama.attention.head_count_kv": (U32, u32(2)),
        "llama.attention.layer_norm_rms_epsilon": (F32, struct.pack("<f", 1e-5)),
        "tokenizer.ggml.model": (STRING, text("llama")),
        "tokenizer.ggml.tokens": (ARRAY, u32(STRING) + u64(VOCAB) + b"".join(text(t) for t in TOKENS)),
        "tokenizer.ggml.scores": (ARRAY, u32(F32) + u64(VOCAB) + struct.pack("<16f", *[-i for i in range(VOCAB)])),
        "tokenizer.ggml.token_type": (ARRAY, u32(I32) + u64(VOCAB) + struct.pack("<16i", 2, 3, 3, *[6] * 10, 1, 1, 1)),
        "tokenizer.ggml.bos_token_id": (U32, u32(1)),
        "tokenizer.ggml.eos_token_id": (U32, u32(2)),
    }
    keys.update(changes)
    for name in drop:
        del keys[name]
    dims = {"token_embd.weight": [WIDTH, VOCAB], "output_norm.weight": [WIDTH], "blk.0.attn_norm.weight": [WIDTH]}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        dims["blk.0.%s.weight" % name] = [WIDTH, WIDTH]
    dims.update({"blk.0.ffn_norm.weight": [WIDTH], "blk.0.ffn_gate.weight": [WIDTH, HIDDEN],
                 "blk.0.ffn_up.weight": [WIDTH, HIDDEN], "blk.0.ffn_down.weight": [HIDDEN, WIDTH]})
    dims.update(shapes)
    tensors, offset = [], 0
    for name, shape in dims.items():
        tensors.append(tensor(name, shape, 0, offset))
        count = 1
        for d in shape:
            count *= d
        offset += -(-4 * count // 32) * 32
    return gguf([key(n, k, v) for n, (k, v) in keys.items()], tensors, b"\0" * min(offset, 4096))


def tokenizer_json(**changes):
    vocab = {"a": 0, "b": 1, "ab": 2}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": None, "post_processor": None, "decoder": None,
             "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                       "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab,
                       "merges": ["a b"]}}
    whole.update(changes)
    return json.dumps(whole).encode()


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def one(dims, kind=0, offset=0, data=64, n_dims=None):
    return gguf((), [tensor("t", dims, kind, offset, n_dims)], b"\0" * data)


def number(name, value):
    return {name: (U32, u32(value))}


def files():
    yield "whole.gguf", model()
    # Counts and lengths of the header, multiplied or increased without a check.
    yield "cve-2024-21802-five-dimensions.gguf", one([1] * 5)
    yield "cve-2024-21802-dimension-count.gguf", one([1] * 8, n_dims=0xFFFFFFFF)
    yield "cve-2024-21825-array-count.gguf", gguf([array("a", STRING, 2**61 + 1, text("x"))])
    yield "cve-2024-21825-array-of-arrays.gguf", gguf([array("a", ARRAY, 2**60, u32(U8) + u64(1) + b"x")])
    yield "cve-2024-21836-tensor-count.gguf", gguf(n_tensors=2**64 // 48 + 2, data=b"\0" * 64)
    yield "cve-2024-23496-string-length.gguf", gguf([text("k") + u32(STRING) + u64(2**64 - 1) + b"x" * 16])
    yield "cve-2024-23496-key-length.gguf", gguf(n_keys=1, data=u64(2**64 - 1) + b"x" * 16)
    yield "cve-2024-23605-key-count.gguf", gguf(n_keys=2**64 - 1, data=b"\0" * 64)
    yield "cve-2024-32878-error-at-second-tensor.gguf", gguf((), [tensor("a", [4]), text("b")], n_tensors=2)
    yield "cve-2024-41130-no-architecture.gguf", model(drop=["general.architecture"])
    yield "cve-2024-41130-empty-architecture.gguf", model({"general.architecture": (STRING, text(""))})
    # The vocabulary.
    yield "cve-2025-49847-token-length.gguf", model({"tokenizer.ggml.tokens": (
        ARRAY, u32(STRING) + u64(VOCAB) + u64(2**31 + 1) + b"x" * 64)})
    yield "llama.cpp-14145-fewer-tokens-than-rows.gguf", model({
        "tokenizer.ggml.tokens": (ARRAY, u32(STRING) + u64(3) + b"".join(text(t) for t in TOKENS[:3])),
        "tokenizer.ggml.scores": (ARRAY, u32(F32) + u64(3) + b"\0" * 12),
        "tokenizer.ggml.token_type": (ARRAY, u32(I32) + u64(3) + struct.pack("<3i", 2, 3, 3))})
    yield "llama.cpp-25969-token-of-byte-minus-one.gguf", model({"tokenizer.ggml.tokens": (
        ARRAY, u32(STRING) + u64(VOCAB) + b"".join(text(t) for t in TOKENS[:3] + ["<0x-1>"] + TOKENS[4:]))})
    yield "llama.cpp-25258-charsmap-shorter-than-its-head.gguf", model({
        "tokenizer.ggml.model": (STRING, text("t5")),
        "tokenizer.ggml.precompiled_charsmap": (ARRAY, u32(U8) + u64(3) + b"\1\2\3")})
    yield "llama.cpp-25258-charsmap-longer-than-itself.gguf", model({
        "tokenizer.ggml.model": (STRING, text("t5")),
        "tokenizer.ggml.precompiled_charsmap": (ARRAY, u32(U8) + u64(12) + u32(2**31) + b"\0" * 8)})
    yield "llama.cpp-7592-special-token-beyond-vocabulary.gguf", model(number("tokenizer.ggml.eos_token_id", VOCAB))
    # Sizes that wrap around, or divide by zero.
    yield "cve-2025-53630-sizes-wrap-in-sum.gguf", gguf(
        (), [tensor("a", [2**61]), tensor("b", [2**61], offset=2**63)], b"\0" * 64)
    yield "cve-2026-27940-sum-wraps-to-little.gguf", gguf(
        (), [tensor("a", [2**62 - 8]), tensor("b", [16], offset=2**64 - 32)], b"\0" * 64)
    yield "cve-2026-33298-elements-wrap-to-zero.gguf", one([2**32, 2**32])
    yield "llama.cpp-27200-bytes-wrap-elements-do-not.gguf", one([2**31, 2**31])
    yield "llama.cpp-27203-multiplied-before-divided.gguf", one([2**62, 1], kind=8)
    yield "mlx-4244-product-is-zero-in-32-bits.gguf", one([65536, 65536])
    yield "cve-2026-53923-dimension-in-32-bits.gguf", model(shapes={"output_norm.weight": [2**32 + WIDTH]})
    yield "llama.cpp-18586-dimension-zero.gguf", one([4, 0])
    yield "llama.cpp-20716-no-layers.gguf", model(number("llama.block_count", 0))
    yield "ollama-7802-no-heads.gguf", model(number("llama.attention.head_count", 0))
    yield "cve-2025-0317-no-kv-heads.gguf", model(number("llama.attention.head_count_kv", 0))
    yield "cve-2024-8063-alignment-zero.gguf", model(number("general.alignment", 0))
    yield "ggml-1517-width-zero.gguf", model(number("llama.embedding_length", 0))
    yield "llama.cpp-24997-alignment-2-30.gguf", model(number("general.alignment", 2**30))
    yield "llama.cpp-26318-alignment-2-31.gguf", model(number("general.alignment", 2**31))
    yield "ggml-1516-alignment-of-another-kind.gguf", model({"general.alignment": (U64, u64(32))})
    yield "llama.cpp-25821-a-million-layers.gguf", model(number("llama.block_count", 10**6))
    # Ranges past the end of the file.
    yield "gguf-tools-25-name-past-the-end.gguf", gguf((), [u64(2**40) + b"name"])
    yield "cve-2026-7482-data-past-the-end.gguf", one([1 << 20], data=64)
    yield "ollama-16183-offset-wraps.gguf", one([16], offset=2**64 - 32)
    yield "cve-2024-39720-four-bytes.gguf", b"GGUF"
    yield "cve-2024-12055-cut-in-a-key.gguf", gguf(n_keys=1, data=u64(20) + b"general.arch")
    yield "ollama-17042-array-of-gigabytes.gguf", gguf([array("a", F32, 2**33, b"")])
    yield "gguf-py-27188-43-bytes.gguf", gguf(n_keys=1, data=text("k") + u32(ARRAY) + b"\10\0\0\0\0\0")[:43]
    # Text that must stay text, and text that must not reach a stack.
    template = "{% for x in ().__class__.__base__.__subclasses__() %}{{ x.__init__.__globals__['os'].system('id') }}" \
               "{% endfor %}"
    yield "cve-2024-34359-chat-template-of-code.gguf", model({"tokenizer.chat_template": (STRING, text(template))})
    yield "llama.cpp-26600-nested-expression.json", tokenizer_json(pre_tokenizer=split("(" * 60000 + "a" + ")" * 60000))
    yield "llama.cpp-27427-backtracking-expression.json", tokenizer_json(pre_tokenizer=split("(a+)+$"))
    yield "llama.cpp-13825-deep-json.json", b'{"model":' + b"[" * 50000
    yield "llama.cpp-10380-merge-without-token.json", tokenizer_json(model={
        "type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]})
    yield "tflite-micro-3071-index-9999.json", tokenizer_json(added_tokens=[{
        "id": 9999, "content": "<x>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
        "special": True}])
    yield "tensorflow-115308-eight-bytes.safetensors", b"\0" * 8
    yield "tensorflow-115308-header-of-2-63.safetensors", u64(2**63) + b"{}"
    head = json.dumps({"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}}).encode()
    yield "cve-2026-33298-shape-wraps.safetensors", u64(len(head)) + head
    yield "cve-2025-53630-sizes-of-llama2c.bin", struct.pack("<7i", 65536, 65536, 512, 1024, 1024, 2**20, 65536)
    yield "llama.cpp-18586-zeros-of-llama2c.bin", b"\0" * 64


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for name, content in files():
        with open(os.path.join(FOLDER, name), "wb") as out:
            out.write(content)


if __name__ == "__main__":
    main()
