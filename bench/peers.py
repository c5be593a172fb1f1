#!/usr/bin/env python3
"""Trains the same six models with mote and with PyTorch, taking turns, and prints tokens/s and their ratios: in f32,
which PyTorch trains in, and in the fastest of --precision.

PyTorch is tuned, not as installed: its sgemm goes to oneDNN through a preloaded shim (Debian's OpenBLAS takes new
processors for old ones), its threads spin, and malloc keeps its pages. Needs Debian's python3-torch, libdnnl-dev, gcc.
usage: bench/peers.py build/release/mote [A B C D E F] [--rounds 5] [--seconds 4] [--precision bf16 int8] [--json]
"""
import argparse, json, math, os, resource, statistics, subprocess, sys, tempfile, time

# width, layers, heads, context, vocabulary, batch; GPT-2 without biases, tied head, AdamW
SHAPES = {"A": (64, 2, 4, 64, 65, 16), "B": (128, 4, 4, 128, 65, 16), "C": (128, 4, 4, 64, 65, 12),
          "D": (256, 2, 8, 96, 10000, 32), "E": (384, 4, 8, 96, 16000, 32), "F": (384, 6, 6, 256, 65, 16)}

SHIM = r"""
int dnnl_sgemm(char, char, long, long, long, float, const float *, long, const float *, long, float, float *, long);
void sgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha, const float *a,
            const int *lda, const float *b, const int *ldb, const float *beta, float *c, const int *ldc) {
    /* column-major C = A B is row-major C' = B' A' */
    dnnl_sgemm(*tb, *ta, *n, *m, *k, *alpha, b, *ldb, a, *lda, *beta, c, *ldc);
}
"""


def train_torch(name, seconds, threads):
    """Runs in a process of its own: prints one JSON object."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    dim, layers, heads, context, vocab, batch = SHAPES[name]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
            self.up, self.down = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)

        def forward(self, x, mask):
            b, t, _ = x.shape
            q, k, v = (y.view(b, t, heads, dim // heads).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(dim, 2))
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(dim // heads) + mask
            x = x + self.out((F.softmax(scores, -1) @ v).transpose(1, 2).reshape(b, t, dim))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.place = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
            self.blocks, self.norm = nn.ModuleList(Block() for _ in range(layers)), nn.LayerNorm(dim)
            self.register_buffer("mask", torch.full((context, context), float("-inf")).triu(1))
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, 0, 0.02)

        def forward(self, tokens, targets):
            x = self.token(tokens) + self.place.weight
            for block in self.blocks:
                x = block(x, self.mask)
            return F.cross_entropy((self.norm(x) @ self.token.weight.t()).view(-1, vocab), targets.view(-1))

    model = Model()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}],
                                  lr=1e-3, betas=(0.9, 0.99))
    data = torch.randint(0, vocab, (200000,))
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 6:
        begin = time.perf_counter()
        at = torch.randint(len(data) - context - 1, (batch,))
        x = torch.stack([data[i:i + context] for i in at])
        y = torch.stack([data[i + 1:i + context + 1] for i in at])
        optimizer.zero_grad(set_to_none=True)
        model(x, y).backward()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens_per_second": batch * context / statistics.median(times[2:]), "peak_rss_bytes": peak}))


def flops_per_token(name):
    """As the field counts: 6 for each parameter outside the tables, full attention, the head."""
    dim, layers, _, context, vocab, _ = SHAPES[name]
    return 6 * layers * 12 * dim * dim + 12 * layers * dim * context + 6 * vocab * dim


def shim():
    path = os.path.join(tempfile.gettempdir(), f"mote_peers_{os.getuid()}.so")
    source = path[:-3] + ".c"
    with open(source, "w") as f:
        f.write(SHIM)
    if subprocess.run(["gcc", "-O2", "-shared", "-fPIC", source, "-o", path, "-ldnnl"]).returncode:
        sys.exit("bench-peers: cannot build the oneDNN shim; apt-get install libdnnl-dev gcc")
    return path


def find_python():
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
            return python
    sys.exit("bench-peers: no Python with torch here; apt-get install python3-torch libdnnl-dev gcc")


def last_json(command, environment=None):
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode:
        sys.exit(f"bench-peers: {' '.join(command)}\n{run.stderr}")
    return json.loads(run.stdout.strip().splitlines()[-1])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("mote")
    options.add_argument("shapes", nargs="*", default=list(SHAPES))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--precision", nargs="*", choices=["bf16", "int8"], default=["bf16", "int8"])
    options.add_argument("--json", action="store_true")
    options.add_argument("--torch", metavar="SHAPE", help=argparse.SUPPRESS)
    o = options.parse_args()
    if o.torch:
        return train_torch(o.torch, o.seconds, o.threads)
    python, tuned = find_python(), dict(os.environ, LD_PRELOAD=shim(), OMP_WAIT_POLICY="active",
                                        OPENBLAS_CORETYPE="SkylakeX", MALLOC_MMAP_MAX_="0",
                                        MALLOC_TRIM_THRESHOLD_="100000000000", MALLOC_TOP_PAD_="268435456")
    rows = []
    if not o.json:
        print(f"| {o.threads} threads | mote tokens/s (GFLOP/s) | PyTorch, tuned | ratio: median (all rounds) | peak RSS "
              "| below f32 | ratio |")
        print("|---|---|---|---|---|---|---|")
    for name in o.shapes:
        dim, layers, heads, context, vocab, batch = SHAPES[name]
        below, theirs = {"f32": []} | {precision: [] for precision in o.precision}, []
        steps = max(6, int(o.seconds * 100e9 / flops_per_token(name) / batch / context))
        for _ in range(o.rounds):
            for precision, runs in below.items():
                runs.append(last_json([o.mote, "bench", "train", "--family", "gpt2", "--no-bias", "--dim", str(dim),
                                       "--layers", str(layers), "--heads", str(heads), "--context", str(context),
                                       "--vocab", str(vocab), "--batch", str(batch), "--optimizer", "adamw", "--steps",
                                       str(steps), "--threads", str(o.threads), "--precision", precision, "--json"]))
            theirs.append(last_json([python, __file__, o.mote, "--torch", name, "--seconds", str(o.seconds), "--threads",
                                     str(o.threads)], tuned))
        ours = below.pop("f32")
        rate = [[run["tokens_per_second"] for run in runs] for runs in (ours, theirs)]
        ratios = sorted(a / b for a, b in zip(*rate))
        memory = statistics.median(a["peak_rss_bytes"] / b["peak_rss_bytes"] for a, b in zip(ours, theirs))
        row = {"shape": name, "mote": statistics.median(rate[0]), "torch": statistics.median(rate[1]),
               "ratio": statistics.median(ratios), "ratios": ratios, "memory_ratio": memory}
        row["mote_gflops"] = row["mote"] * flops_per_token(name) / 1e9
        best = " | |"
        if below:
            rates = {key: [run["tokens_per_second"] for run in runs] for key, runs in below.items()}
            fastest = max(rates, key=lambda precision: statistics.median(rates[precision]))
            ratios_below = sorted(a / b for a, b in zip(rates[fastest], rate[1]))
            row |= {"below": fastest, "below_rate": statistics.median(rates[fastest]), "below_ratios": ratios_below,
                    "below_ratio": statistics.median(ratios_below)}
            best = (f"{fastest}: {row['below_rate']:,.0f} | {row['below_ratio']:.2f} ({ratios_below[0]:.2f} to "
                    f"{ratios_below[-1]:.2f}) |")
        rows.append(row)
        if not o.json:
            print(f"| {name}: {dim} x {layers} | {row['mote']:,.0f} ({row['mote_gflops']:.0f}) | {row['torch']:,.0f} | "
                  f"{row['ratio']:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {memory:.2f} | {best}", flush=True)
    if o.json:
        print(json.dumps(rows))


main()
