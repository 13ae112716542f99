# SPDX-License-Identifier: GPL-3.0-or-later
"""What the peer scripts share: arguments, inputs, the timing loop, rows as JSON.

A peer script has one generator a workload. It yields (variant, gradient, measure) for each row, where
measure() returns what timed() below does, with compile_s beside it if the peer compiles.
"""
import argparse
import json
import statistics
import sys
import time

SECONDS = 2  # a row is measured for about so long
FEWEST, MOST = 5, 2000  # iterations timed, where an iteration is a round


def arguments():
    p = argparse.ArgumentParser(description="Time a peer on the inputs that `costate bench NAME --inputs DIR` wrote.")
    p.add_argument("name")
    p.add_argument("--inputs", required=True, metavar="DIR")
    p.add_argument("--dtype", choices=["f32", "f64"], default="f32")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--json", required=True, metavar="FILE")
    return p.parse_args()


def table(args, what):
    """The rows of numbers of one input."""
    with open(f"{args.inputs}/{args.name}.{what}.txt") as f:
        return [[float(word) for word in line.split()] for line in f]


def numbers(args, what):
    """One input as a flat list."""
    return [x for row in table(args, what) for x in row]


def several(args, networks):
    """MLPs one after the other in the weights, of each [(W, b), ...]; W has a row for each input: y = x W + b."""
    rest = iter(numbers(args, "weights"))
    take = lambda n: [next(rest) for _ in range(n)]
    return [[([take(m) for _ in range(n)], take(m)) for n, m in zip(sizes, sizes[1:])] for sizes in networks]


def layers(args, sizes):
    """The one MLP of the weights."""
    return several(args, [sizes])[0]


def concatsquash(args, sizes):
    """[(weight, bias, gate, gate_bias, shift), ...] and the number behind them, the root of the end time."""
    *rest, root = numbers(args, "weights")
    rest = iter(rest)
    take = lambda n: [next(rest) for _ in range(n)]
    return [([take(m) for _ in range(n)], take(m), take(m), take(m), take(m)) for n, m in zip(sizes, sizes[1:])], root


def linspace(first, last, n):
    return [first + (last - first) * i / (n - 1) for i in range(n)]


def timed(step, length=1, restart=None):
    """Rounds of step(0) ... step(length - 1), timed one by one; the first round warms up.

    step(i) returns loss, nfe_forward, nfe_backward (or None) when its work is done.
    """
    def round_of(rows):
        if restart:
            restart()
        for i in range(length):
            began = time.perf_counter()
            result = step(i)
            rows.append((time.perf_counter() - began, *result))

    round_of([])
    rows, began, rounds = [], time.perf_counter(), 0
    fewest = FEWEST if length == 1 else 2
    while rounds < fewest or (time.perf_counter() - began < SECONDS and rounds < MOST):
        round_of(rows)
        rounds += 1
    return summary(rows)


def summary(rows):
    seconds, losses, forward, backward = zip(*rows)
    middle = lambda xs: None if xs[0] is None else statistics.median(int(x) for x in xs)
    return {
        "median_ms": 1e3 * statistics.median(seconds), "min_ms": 1e3 * min(seconds),
        "nfe_forward": middle(forward), "nfe_backward": middle(backward), "loss": float(losses[-1]),
    }


def run(args, peer, versions, workloads):
    """Writes the rows of one workload. A row that fails is named on stderr and left out."""
    if args.name not in workloads:
        print(f"{peer} does not do {args.name}", file=sys.stderr)
        sys.exit(3)
    rows = []
    for variant, gradient, measure in workloads[args.name](args):
        row = {"name": args.name, "variant": variant, "gradient": gradient, "dtype": args.dtype,
               "threads": args.threads, "peer": peer, "versions": versions, "compile_s": None}
        try:
            rows.append({**row, **measure()})
        except Exception as e:
            print(f"{peer}, {args.name} {variant} {gradient}: {type(e).__name__}: {e}", file=sys.stderr)
    with open(args.json, "w") as f:
        json.dump(rows, f, indent=1)
