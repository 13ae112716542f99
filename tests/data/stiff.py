#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""End points of stiff problems to 17 digits: Radau IIA collocation of order 13 in decimal arithmetic.

    python3 tests/data/stiff.py > tests/data/stiff.txt

The problems are those of E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, IV.10, and of
the Test Set for Initial Value Problem Solvers (F. Mazzia, C. Magherini, 2008). A step is accepted when it
agrees with its two halves to 1e-20 of scale; takes some minutes. Van der Pol is y'' = mu (1 - y^2) y' - y.
"""
from decimal import Decimal as D, getcontext

getcontext().prec = 36
STAGES = 7


def polynomial_value(p, x):
    v = D(0)
    for a in reversed(p):
        v = v * x + a
    return v


def multiply(p, q):
    r = [D(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            r[i + j] += a * b
    return r


def nodes(s):
    """Roots of d^(s-1)/dx^(s-1) x^(s-1) (x-1)^s, by bisection between the sign changes of a fine grid."""
    p = [D(0)] * (s - 1) + [D(1)]
    for _ in range(s):
        p = multiply(p, [D(-1), D(1)])
    for _ in range(s - 1):
        p = [i * a for i, a in enumerate(p)][1:]
    found, n = [], 20000
    grid = [(D(i) + D("0.37")) / n for i in range(n)]
    for a, b in zip(grid, grid[1:]):
        if polynomial_value(p, a) * polynomial_value(p, b) < 0:
            for _ in range(130):
                m = (a + b) / 2
                if polynomial_value(p, a) * polynomial_value(p, m) <= 0:
                    b = m
                else:
                    a = m
            found.append((a + b) / 2)
    assert len(found) == s - 1
    return found + [D(1)]


def solve(a, b):
    """a x = b with partial pivoting; b is a list of right-hand sides' rows."""
    n = len(a)
    a = [row[:] + rhs[:] for row, rhs in zip(a, b)]
    for k in range(n):
        p = max(range(k, n), key=lambda i: abs(a[i][k]))
        a[k], a[p] = a[p], a[k]
        for i in range(k + 1, n):
            if a[i][k] == 0:
                continue
            f = a[i][k] / a[k][k]
            row, top = a[i], a[k]
            for j in range(k + 1, len(row)):
                row[j] -= f * top[j]
    for k in reversed(range(n)):
        for j in range(n, len(a[k])):
            v = a[k][j]
            for i in range(k + 1, n):
                v -= a[k][i] * a[i][j]
            a[k][j] = v / a[k][k]
    return [row[n:] for row in a]


def collocation(s):
    c = nodes(s)
    left = [[x ** q for q in range(s)] for x in c]
    right = [[x ** (q + 1) / (q + 1) for q in range(s)] for x in c]
    transposed = solve([list(r) for r in zip(*left)], [list(r) for r in zip(*right)])
    return c, [list(r) for r in zip(*transposed)]


C, A = collocation(STAGES)


def jacobian(f, y):
    base, columns = f(y), []
    for k in range(len(y)):
        h = (abs(y[k]) + D("1e-8")) * D("1e-14")
        moved = y[:]
        moved[k] += h
        columns.append([(u - v) / h for u, v in zip(f(moved), base)])
    return [list(r) for r in zip(*columns)]


def step(f, y, h, scale):
    """One step, by Newton's method for the increments of the stages; None when it does not converge."""
    n, s = len(y), STAGES
    z = [[D(0)] * n for _ in range(s)]
    before = None
    for _ in range(12):
        k = [f([a + b for a, b in zip(y, zi)]) for zi in z]
        jac = [jacobian(f, [a + b for a, b in zip(y, zi)]) for zi in z]
        residual = [[z[i][m] - h * sum(A[i][j] * k[j][m] for j in range(s))] for i in range(s) for m in range(n)]
        matrix = [[(1 if i == j and m == q else 0) - h * A[i][j] * jac[j][m][q] for j in range(s) for q in range(n)]
                  for i in range(s) for m in range(n)]
        d = solve(matrix, residual)
        size = max(abs(d[i * n + m][0]) / scale[m] for i in range(s) for m in range(n))
        for i in range(s):
            for m in range(n):
                z[i][m] -= d[i * n + m][0]
        if size < D("1e-24"):
            return [a + b for a, b in zip(y, z[-1])]
        if before is not None and size > before * 10:
            return None
        before = size
    return None


def integrate(f, y, t1, h, least):
    t, y, h = D(0), [D(v) for v in y], D(h)
    while t < t1:
        h = min(h, t1 - t)
        scale = [abs(v) + D(least[m]) for m, v in enumerate(y)]
        whole = step(f, y, h, scale)
        half = whole and step(f, y, h / 2, scale)
        half = half and step(f, half, h / 2, scale)
        if not half:
            h /= 4
            continue
        error = max(abs(a - b) / s for a, b, s in zip(whole, half, scale))
        factor = float(D("1e-20") / error) ** (1 / 14) if error else 5
        if error <= D("1e-20"):
            t, y = t + h, half
        h *= D(max(0.2, min(5.0, 0.9 * factor)))
    return y


def rober(y):
    a, b, c = D("0.04") * y[0], D(10000) * y[1] * y[2], D(30000000) * y[1] * y[1]
    return [-a + b, a - b - c, c]


def vdpol(y):
    return [y[1], 1000 * (1 - y[0] * y[0]) * y[1] - y[0]]


def orego(y):
    return [D("77.27") * (y[1] + y[0] * (1 - D("8.375e-6") * y[0] - y[1])),
            (y[2] - (1 + y[0]) * y[1]) / D("77.27"), D("0.161") * (y[0] - y[2])]


def hires(y):
    d = [D(x) for x in ("1.71", "0.43", "8.32", "0.0007", "8.75", "10.03", "0.035", "1.12", "1.745", "280",
                        "0.69", "1.81")]
    q = d[9] * y[5] * y[7]
    return [-d[0] * y[0] + d[1] * y[1] + d[2] * y[2] + d[3], d[0] * y[0] - d[4] * y[1],
            -d[5] * y[2] + d[1] * y[3] + d[6] * y[4], d[2] * y[1] + d[0] * y[2] - d[7] * y[3],
            -d[8] * y[4] + d[1] * y[5] + d[1] * y[6],
            -q + d[10] * y[3] + d[0] * y[4] - d[1] * y[5] + d[10] * y[6], q - d[11] * y[6], -q + d[11] * y[6]]


if __name__ == "__main__":
    print("# end points: name, t1, values; made by tests/data/stiff.py")
    for name, f, y0, t1, h, least in (
            ("rober", rober, [1, 0, 0], "1e11", "1e-5", ["1e-9", "1e-14", "1e-9"]),
            ("vdpol", vdpol, [2, 0], "2000", "1e-5", ["1e-3", "1e-6"]),
            ("orego", orego, [1, 2, 3], "360", "1e-5", ["1e-3"] * 3),
            ("hires", hires, [1, 0, 0, 0, 0, 0, 0, "0.0057"], "321.8122", "1e-4", ["1e-6"] * 8)):
        print(name, t1, *("%.17e" % v for v in integrate(f, y0, D(t1), h, least)), flush=True)
