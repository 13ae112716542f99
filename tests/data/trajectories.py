#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""End points of the data sets' systems to 20 digits: Taylor series of order 30 in decimal arithmetic.

    python3 tests/data/trajectories.py > tests/data/trajectories.txt
"""
from decimal import Decimal as D, getcontext

getcontext().prec = 50
ORDER = 30


def product(a, b):
    """Coefficient n = len(a) - 1 of the product of two series."""
    n = len(a) - 1
    return sum((a[i] * b[n - i] for i in range(n + 1)), D(0))


def spiral(series):
    def cube(x, square, out):
        square.append(product(x, x))
        out.append(product(square, x))
    squares, cubes = ([], []), ([], [])

    def field():
        for x, s, c in zip(series, squares, cubes):
            cube(x, s, c)
        a, b = cubes[0][-1], cubes[1][-1]
        return [D("-0.1") * a - 2 * b, 2 * a - D("0.1") * b]
    return field


def lotka_volterra(series):
    x, y = series

    def field():
        xy = product(x, y)
        return [D("1.5") * x[-1] - xy, xy - 3 * y[-1]]
    return field


def lorenz(series):
    x, y, z = series
    beta = D(8 / 3)  # the double that the data set uses

    def field():
        return [10 * (y[-1] - x[-1]), 28 * x[-1] - product(x, z) - y[-1], product(x, y) - beta * z[-1]]
    return field


def solve(system, y, t1, steps):
    h = D(t1) / steps
    for _ in range(steps):
        series = [[v] for v in y]
        field = system(series)
        for n in range(ORDER):
            for s, d in zip(series, field()):
                s.append(d / (n + 1))
        y = [sum((c * h**k for k, c in enumerate(s)), D(0)) for s in series]
    return y


print("# end points: name, t1, values; made by tests/data/trajectories.py")
for name, system, y0, t1, steps in [("cubic_spiral", spiral, [2, 0], 25, 2500),
                                    ("lotka_volterra", lotka_volterra, [1, 1], 10, 1000),
                                    ("lorenz", lorenz, [-8, 8, 27], 10, 4000)]:
    end = solve(system, [D(v) for v in y0], t1, steps)
    print(name, t1, *(f"{v:.20f}" for v in end))
