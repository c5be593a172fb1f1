#!/usr/bin/env python3
"""Writes tests/data/tokenizers/*.json: a tiny tokenizer.json for each kind of model and each kind of node that mote
reads, learned here from a page of text, and texts.json, what is encoded with them. tools/check_tokenizers.sh adds the
ids that Hugging Face's tokenizers gives (*.ids). Nothing here comes from anybody's model."""
import collections
import json
import math
import os
import re
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "tokenizers")

TEXT = """The quick brown fox jumps over the lazy dog. It isn't that the dog's lazy: they've been working since 5 a.m.,
and we'll let them sleep. She said "I'm 37 years old", he'd have said 38; in 2024 it will be 1000000 days. The cat
sat on the mat, the rat sat on the cat, and the bat that had sat on the hat flew over the house at the end of the day.
Der Fuchs springt über den faulen Hund. Größe, Straße, Übung, müde, schön. Le garçon français a mangé une crêpe à l'été.
El niño comió piñas mañana. Привет, мир! Как дела? Хорошо. 你好世界，我们是朋友。今天天气很好。 こんにちは世界。 안녕하세요 세계.
for (int i = 0; i < 10; i++) { total += i * i; }    return total == 285 ? "yes" : "no";
\tdef main():\n\t\tprint("hello, world")\r\n\r\n   and then some more spaces      here.  🙂 👍🏽 👨‍👩‍👧 🇩🇪 ✓ → ∑ © ½ ² ﬁne
He walked, he talked, he jumped; walking, talking, jumping are what walkers, talkers and jumpers do. Unhappiness and
happiness, kindness and unkindness: the longest words were the strongest words, and the newest words the lowest."""


def byte_letters():
    """GPT-2's form of bytes: printable ones as they are, the others from U+0100 on."""
    letters, extra = {}, 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(extra)
            extra += 1
    return letters


LETTERS = byte_letters()
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"""
          r"""|\s*[\r\n]+|\s+(?!\S)|\s+""")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
         r"""|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
         r"""|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")


def rough_words(text):
    return re.findall(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]+|\s+", text)


def train_bpe(words, symbols_of, n_merges):
    """words: strings; symbols_of: word -> list of symbols. Returns the alphabet and the merges, most frequent first."""
    counts = collections.Counter(tuple(symbols_of(word)) for word in words)
    alphabet = sorted({symbol for word in counts for symbol in word})
    merges = []
    while len(merges) < n_merges:
        pairs = collections.Counter()
        for word, n in counts.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        renewed = collections.Counter()
        for word, n in counts.items():
            out, i = [], 0
            while i < len(word):
                if word[i:i + 2] == best:
                    out.append(word[i] + word[i + 1])
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            renewed[tuple(out)] += n
        counts = renewed
    return alphabet, merges


def vocab_of(*groups):
    vocab = {}
    for group in groups:
        for piece in group:
            vocab.setdefault(piece, len(vocab))
    return vocab


def added(id, content, special=True, lstrip=False, rstrip=False, single_word=False, normalized=None):
    return {"id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": (not special) if normalized is None else normalized, "special": special}


def whole(model, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None, added_tokens=()):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": decoder, "model": model}


def bpe_model(vocab, merges, pairs=False, **keys):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model.update(keys)
    model["vocab"] = vocab
    model["merges"] = [list(m) for m in merges] if pairs else [" ".join(m) for m in merges]
    return model


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(use_regex, add_prefix_space=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def sequence(kind, *nodes):
    return {"type": "Sequence", kind: list(nodes)}


def template(single, specials):
    """single: "<s> $A": BOS and EOS around the text."""
    def part(word):
        return {"Sequence": {"id": "A", "type_id": 0}} if word == "$A" else {"SpecialToken": {"id": word, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [part(word) for word in single.split()],
            "pair": [part(word) for word in single.split()] + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in specials.items()}}


def byte_bpe(n_merges, first=()):
    _, merges = train_bpe(rough_words(TEXT), lambda word: [LETTERS[b] for b in word.encode()], n_merges)
    return vocab_of(first, LETTERS.values(), ("".join(m) for m in merges)), merges


def metaspace_words(text):
    return re.findall("▁?[^▁]+", "▁" + text.replace(" ", "▁"))


BYTES = ["<0x%02X>" % byte for byte in range(256)]


def spm_bpe(n_merges, specials, with_bytes=True):
    alphabet, merges = train_bpe(metaspace_words(TEXT), list, n_merges)
    groups = [specials, BYTES if with_bytes else [], ("".join(m) for m in merges), alphabet]
    return vocab_of(*groups), merges


def unigram_pieces(first, limit):
    """Pieces by how often they occur times their length, with their log-probabilities: enough for a test."""
    counts = collections.Counter()
    for word in metaspace_words(TEXT):
        for i in range(len(word)):
            for j in range(i + 1, min(len(word), i + 8) + 1):
                counts[word[i:j]] += 1
    single = [piece for piece in counts if len(piece) == 1]
    longer = sorted((p for p in counts if len(p) > 1 and counts[p] > 1), key=lambda p: (-counts[p] * len(p), p))
    chosen = sorted(single + longer[:limit], key=lambda p: (-counts[p], p))
    total = sum(counts[piece] for piece in chosen)
    return [[p, 0.0] for p in first] + [[p, round(math.log(counts[p] / total), 6)] for p in chosen]


def wordpiece_vocab(first, n_merges, lower):
    text = TEXT.lower() if lower else TEXT
    words = re.findall(r"[^\W\d_]+|\d+|[^\w\s]", text)
    def symbols(word):
        return [word[0]] + ["##" + c for c in word[1:]]
    counts = collections.Counter(tuple(symbols(word)) for word in words)
    alphabet = sorted({s for word in counts for s in word})
    pieces = []
    for word, n in collections.Counter(words).most_common(60):
        if len(word) > 1:
            pieces.append(word)
    for word in sorted(set(words)):
        for k in (2, 3, 4):
            if len(word) > k:
                pieces += ["##" + word[k:], word[:k]]
    return vocab_of(first, alphabet, pieces[:n_merges])


def tokenizers():
    vocab, merges = byte_bpe(200)
    end = len(vocab)
    yield "gpt2", whole(bpe_model({**vocab, "<|endoftext|>": end}, merges), None, byte_level(True),
                        byte_level(True), byte_level(True), [added(end, "<|endoftext|>")])
    yield "roberta", whole(
        bpe_model({**vocab, "<s>": end, "</s>": end + 1}, merges, True), None, byte_level(True, True),
        {"type": "RobertaProcessing", "sep": ["</s>", end + 1], "cls": ["<s>", end], "trim_offsets": True,
         "add_prefix_space": True}, byte_level(True, True), [added(end, "<s>"), added(end + 1, "</s>")])

    vocab, merges = byte_bpe(150)
    begin = len(vocab)
    vocab_words = vocab_of(vocab, ["Ġworld", "Ġlongest", "unhappiness"])
    begin = len(vocab_words)
    yield "llama3", whole(
        bpe_model(vocab_words, merges, ignore_merges=True), None,
        sequence("pretokenizers", split(LLAMA3), byte_level(False)),
        sequence("processors", byte_level(True), template("<|begin_of_text|> $A", {"<|begin_of_text|>": begin})),
        byte_level(True), [added(begin, "<|begin_of_text|>"), added(begin + 1, "<|end_of_text|>")])
    n = len(vocab)
    yield "qwen2", whole(
        bpe_model(vocab, merges), {"type": "NFC"}, sequence("pretokenizers", split(QWEN2), byte_level(False)),
        byte_level(False), byte_level(False),
        [added(n, "<|endoftext|>"), added(n + 1, "<|im_start|>"), added(n + 2, "<tool_call>", False, normalized=False),
         added(n + 3, "cafe\u0301", False, normalized=True), added(n + 4, "dog", False, single_word=True),
         added(n + 5, "[L]", False, lstrip=True, normalized=False),
         added(n + 6, "[R]", False, rstrip=True, normalized=False)])
    yield "o200k", whole(bpe_model(vocab, merges, True), None,
                         sequence("pretokenizers", split(O200K), byte_level(False)), None, byte_level(True))
    yield "deepseek", whole(
        bpe_model(vocab, merges), None,
        sequence("pretokenizers", split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK), byte_level(False)),
        None, byte_level(True))
    yield "smollm", whole(bpe_model(vocab, merges), None,
                          sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level(True)),
                          None, byte_level(True))
    yield "nodes", whole(
        bpe_model(vocab, merges), sequence("normalizers", {"type": "NFKC"}, {"type": "Lowercase"},
                                           {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                                           {"type": "Strip", "strip_left": True, "strip_right": True}),
        sequence("pretokenizers", {"type": "Digits", "individual_digits": False},
                 {"type": "Punctuation", "behavior": "Contiguous"},
                 {"type": "CharDelimiterSplit", "delimiter": "_"}, {"type": "WhitespaceSplit"}, byte_level(False)),
        None, byte_level(True))
    for behavior, invert in ("Removed", True), ("MergedWithPrevious", False), ("MergedWithNext", False):
        yield "split_" + behavior.lower(), whole(
            bpe_model(vocab, merges), {"type": "NFKD"},
            sequence("pretokenizers", split(r"[^\s\p{P}]+|\p{P}", behavior, invert), byte_level(False)), None,
            byte_level(True))

    specials = ["<unk>", "<s>", "</s>"]
    vocab, merges = spm_bpe(150, specials)
    three = [added(i, name, normalized=False) for i, name in enumerate(specials)]
    decoder = sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                       {"type": "ByteFallback"}, {"type": "Fuse"},
                       {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    yield "llama2", whole(
        bpe_model(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                 {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        None, template("<s> $A", {"<s>": 1}), decoder, three)
    yield "mistral", whole(
        bpe_model(vocab, merges, True, unk_token="<unk>", fuse_unk=True, byte_fallback=True), None,
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        template("<s> $A </s>", {"<s>": 1, "</s>": 2}), decoder, three)
    yield "gemma", whole(
        bpe_model(vocab_of(vocab, ["\n\n", "\n\n\n", "\t"]), merges, True, unk_token="<unk>", fuse_unk=True,
                  byte_fallback=True),
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        template("<s> $A", {"<s>": 1}),
        sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                 {"type": "Fuse"}),
        three + [added(vocab_of(vocab, ["\n\n"])["\n\n"], "\n\n", False, normalized=False)])
    plain, plain_merges = spm_bpe(150, specials, False)
    for fuse in (False, True):
        yield "unknown_" + ("fused" if fuse else "single"), whole(
            bpe_model(plain, plain_merges, unk_token="<unk>", fuse_unk=fuse), None,
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, None,
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, three)

    words = re.findall(r"[^\W\d_]+|\d+|[^\w\s]", TEXT.lower())
    letters, merges = train_bpe(words, lambda word: list(word[:-1]) + [word[-1] + "</w>"], 150)
    yield "gpt1", whole(
        bpe_model(vocab_of(["<unk>"], letters, ("".join(m) for m in merges)), merges, unk_token="<unk>",
                  continuing_subword_prefix="", end_of_word_suffix="</w>"),
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
         "lowercase": True}, {"type": "BertPreTokenizer"}, None, {"type": "BPEDecoder", "suffix": "</w>"},
        [added(0, "<unk>")])

    def prefixed(word):
        return [word[0]] + ["##" + c for c in word[1:]]
    alphabet, pairs = collections.Counter(), []
    counts = collections.Counter(tuple(prefixed(w)) for w in re.findall(r"\w+|[^\w\s]+", TEXT))
    alphabet = sorted({s for word in counts for s in word})
    joined = collections.Counter()
    for word, n in counts.items():
        if len(word) > 1:
            joined[word[0], word[1]] += n
    pairs = sorted(joined, key=lambda p: (-joined[p], p))[:100]
    vocab = vocab_of(["[UNK]"], alphabet, (a + b[2:] for a, b in pairs))
    yield "prefixed", whole(
        bpe_model(vocab, pairs, unk_token="[UNK]", continuing_subword_prefix="##"), None, {"type": "Whitespace"}, None,
        {"type": "WordPiece", "prefix": "##", "cleanup": False}, [added(0, "[UNK]")])

    first = ["<pad>", "</s>", "<unk>"]
    unigram = {"type": "Unigram", "unk_id": 2, "vocab": unigram_pieces(first, 300), "byte_fallback": False}
    meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield "unigram", whole(unigram, sequence("normalizers", {"type": "NFKC"}, {"type": "Replace", "pattern":
                           {"Regex": " {2,}"}, "content": " "}), sequence("pretokenizers", {"type": "WhitespaceSplit"},
                           meta), template("$A </s>", {"</s>": 1}), meta,
                           [added(i, name, normalized=False) for i, name in enumerate(first)])
    first = ["<unk>", "<s>", "</s>"] + BYTES
    unigram = {"type": "Unigram", "unk_id": 0, "vocab": unigram_pieces(first, 300), "byte_fallback": True}
    yield "unigram_bytes", whole(unigram, sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, {
        "type": "Replace", "pattern": {"String": " "}, "content": "▁"}), None, None, decoder, three)

    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    specials = [added(i, name, normalized=False) for i, name in enumerate(first)]
    for lower in (True, False):
        yield "bert_" + ("uncased" if lower else "cased"), whole(
            {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 100 if lower else 12, "vocab": wordpiece_vocab(first, 400, lower)},
            {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
             "lowercase": lower}, {"type": "BertPreTokenizer"},
            {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]} if lower else
            template("[CLS] $A [SEP]", {"[CLS]": 2, "[SEP]": 3}),
            {"type": "WordPiece", "prefix": "##", "cleanup": lower}, specials)


def texts():
    base = [line for line in TEXT.split("\n")]
    base += ["", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\r\n", "\t", "a", " a", "a ", " a ", "  a  b   c    ", "\n a\n",
             "Hello, world!", "hello world", "HELLO WORLD'S", "I'M", "don’t", "we'LL they'Ve", "x\u017f'\u017f",
             "1", "12", "123", "1234", "12345", "1,234.56", "٣٤٥", "Ⅷ ½ ²³", "3.14e-10", "0x1F", "2024-11-05T12:00:00Z",
             "cafe\u0301", "café", "e\u0301\u0323", "a\u0300\u0301\u0302", "\u0344", "Å Å Å", "ﬁ ﬂ ﬀ", "①②③", "ＡＢＣ１２３",
             "İstanbul ISPARTA ı", "ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ", "ǅ ǆ Ǆ", "ẞ ß SS", "straße STRASSE",
             "你好", "你好，世界！", "今天 天气", "日本語テキスト", "カタカナ ひらがな", "한국어 텍스트", "한글 각", "𠀀𠀁 𪚥",
             "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "ക്ഷ", "Ελληνικά", "Українська",
             "🙂", "🙂🙂", "👍🏽 ok", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "❤️", "a🙂b", " 🙂 ", "\u200b", "a\u200bb", "\u200d", "\ufeffbom",
             "\u00a0nbsp\u00a0", "a\u2003b", "a\u3000b", "a\u2028b\u2029c", "a\u0085b", "a\u180eb", "\u1680x", "a\x0bb\x0cc",
             "\x00", "a\x01b\x7fc", "\ufffd", "\u00ad", "x\u00ady", "\ue000", "\U000e0001", "\U0010ffff", "\u0378",
             "!", "!!", "...", "?!?!", "a.b.c", "(a) [b] {c}", "a_b_c", "__init__", "C++ C# F#", "50% $100 €5 #tag @user",
             "http://example.com/a?b=c&d=e#f", "foo@bar.com", "`code` ~tilde~ ^caret^ |pipe| \\back\\", "<html><body>",
             "“quoted” ‘single’ — dash – en … «guillemets»", "¿Qué? ¡Sí!", "a-b a–b a—b", "∀x∈ℝ: x²≥0", "→←↑↓", "™®©",
             "The dog and dogs and doghouse, a dog.", "dog", "dogdog", " dog ", "x [L] y [R] z", "  [L]  [R]  ",
             "<tool_call>{}</tool_call>", "a<tool_call> b", "a\n\nb", "a\n\n\n\nb", "a \n\n b", "\n\n\n\n\n",
             "▁", "▁▁", "a▁b", " ▁ ", "▁a ▁ b", "##", "##ing", "<0x0A>", "<0x41>B", "Ġ", "ĠĠ", "Ċ", "</w>", "a</w>",
             "walking talked jumpers unkindness strongest", "Unhappiness", "antidisestablishmentarianism",
             "supercalifragilisticexpialidocious" * 3, "a" * 70, "ab" * 60, "the " * 40, "  " * 30, "🙂" * 20, "é" * 40,
             "1" * 50, "\n" * 20, "x\n\n  y\r\n\tz", "a\r\r\nb", "tab\tseparated\tvalues", "trailing spaces   \n   next",
             "for i in range(10):\n    print(i)\n", "if (x == 1) {\n\treturn;\n}\n", "SELECT * FROM t WHERE a='b';",
             "camelCaseString PascalCase snake_case kebab-case", "ALLCAPS lowercase MiXeD", "iPhone15Pro 4K8K", "a1b2c3",
             "Ünïcödé", "Zalgo: Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A", "ａ　ｂ", "ｶﾞ", "Ａ́", "ſ", "K Å Ω", "\u1e9b\u0323", "\u0958",
             "\u0f73\u0f71", "\uac00\u11a8", "\u1100\u1161\u11a8", "x\u0301\u0315\u0300\u05ae\u0062", "\U0001d15e"]
    # Without two characters that came with Unicode 9 and 10: the tables behind BertNormalizer are older.
    sample = [chr(p) for p in list(range(1, 0x250, 1)) + list(range(0x250, 0xd800, 97)) +
              list(range(0xe000, 0x110000, 7919)) if p not in (0x1df9, 0x2e44)]
    base += ["".join(sample[i:i + 40]) for i in range(0, len(sample), 40)]
    base += [" ".join(sample[i:i + 40]) for i in range(7, len(sample), 200)]
    return base


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for name, tokenizer in tokenizers():
        with open(os.path.join(FOLDER, name + ".json"), "w", encoding="utf-8", newline="\n") as file:
            json.dump(tokenizer, file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
    with open(os.path.join(FOLDER, "texts.list"), "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(json.dumps(text, ensure_ascii=True) + "\n" for text in texts()))


if __name__ == "__main__":
    sys.exit(main())
