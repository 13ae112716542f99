#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""End values of stiff problems, to 20 digits.

    python3 tests/data/stiff.py > tests/data/stiff.txt

Problems: F. Mazzia, C. Magherini, Test Set for Initial Value Problem Solvers, release 2.4 (2008): ROBER, VDPOL
(here with mu = 1000 in unscaled time), HIRES, OREGO; and the Brusselator with diffusion, E. Hairer, G. Wanner,
Solving Ordinary Differential Equations II, IV.10 (here 20 inner points instead of 500).

Method: Radau IIA collocation with s stages (Hairer & Wanner, IV.5), Newton's method on all stages at once,
in decimal arithmetic; nothing but the standard library. Two values of s and two tolerances must agree to 22
digits in every component. HIRES, where an explicit method can do it, is solved once more by the Taylor series
of detest.py, and so is the Brusselator, with two orders. Then the printed values of the test set are compared.
"""
import platform
import sys
from decimal import Decimal as D, getcontext, localcontext
from operator import mul

from detest import cis, difference, pi, require, taylor

getcontext().prec = 50
PASSES = [(10, D("1e-15")), (12, D("1e-17"))]  # stages, bound on the last Legendre coefficient of the slope
AGREE = D("1e-22")


# ---- problems: right-hand sides of numbers or of series --------------------------------------------

def robertson(t, y):
    slow, fast, back = D("0.04") * y[0], D("3e7") * (y[1] * y[1]), D("1e4") * (y[1] * y[2])
    return [back - slow, slow - back - fast, fast]


def van_der_pol(t, y):
    return [y[1], 1000 * ((1 - y[0] * y[0]) * y[1]) - y[0]]


def hires(t, y):
    def k(text):
        return D(text)
    split = k("280") * (y[5] * y[7])
    rise = split - k("1.81") * y[6]
    return [k("-1.71") * y[0] + k("0.43") * y[1] + k("8.32") * y[2] + k("0.0007"),
            k("1.71") * y[0] - k("8.75") * y[1],
            k("-10.03") * y[2] + k("0.43") * y[3] + k("0.035") * y[4],
            k("8.32") * y[1] + k("1.71") * y[2] - k("1.12") * y[3],
            k("-1.745") * y[4] + k("0.43") * y[5] + k("0.43") * y[6],
            k("0.69") * y[3] + k("1.71") * y[4] - k("0.43") * y[5] + k("0.69") * y[6] - split,
            rise, -rise]


def oregonator(t, y):
    s = D("77.27")
    return [s * (y[1] + y[0] * (1 - D("8.375e-6") * y[0] - y[1])), (y[2] - (1 + y[0]) * y[1]) / s,
            D("0.161") * (y[0] - y[2])]


POINTS = 20


def brusselator(t, y):
    """y = u_1, v_1, u_2, v_2, ...; u = 1 and v = 3 at both ends."""
    c = D(POINTS + 1)**2 / 50
    dy = []
    for i in range(0, 2 * POINTS, 2):
        u, v, last = y[i], y[i + 1], i == 2 * POINTS - 2
        uuv = u * u * v
        dy += [1 + uuv - 4 * u + c * ((y[i - 2] if i else 1) - 2 * u + (1 if last else y[i + 2])),
               3 * u - uuv + c * ((y[i - 1] if i else 3) - 2 * v + (3 if last else y[i + 3]))]
    return dy


def brusselator_start():
    y, step = [], 2 * pi() / (POINTS + 1)
    for i in range(1, POINTS + 1):
        y += [1 + cis(i * step)[1], D(3)]
    return y


# ---- Radau IIA ------------------------------------------------------------------------------------

def legendre(n):
    """Coefficients of the shifted Legendre polynomials P_0 .. P_n on [0, 1], lowest first."""
    p = [[D(1)], [D(-1), D(2)]]
    for k in range(1, n):
        a = [D(0)] * (k + 2)
        for i, c in enumerate(p[k]):
            a[i] -= (2 * k + 1) * c
            a[i + 1] += 2 * (2 * k + 1) * c
        for i, c in enumerate(p[k - 1]):
            a[i] -= k * c
        p.append([c / (k + 1) for c in a])
    return p


def horner(p, x):
    v = D(0)
    for c in reversed(p):
        v = v * x + c
    return v


def nodes(s):
    """Zeros of P_s - P_(s-1): Newton's method from above, divided by the zeros found."""
    p = legendre(s)
    q = [a - b for a, b in zip(p[s], p[s - 1] + [D(0)])]
    slope = [k * c for k, c in enumerate(q)][1:]
    found = []
    for _ in range(s):
        x = D(2)  # above all zeros: Newton's method descends to the largest that is left
        for _ in range(400):
            v = horner(q, x)
            if v == 0:
                break
            d = horner(slope, x) / v - sum(1 / (x - f) for f in found)
            x -= 1 / d
            if abs(1 / d) < D(10) ** (10 - getcontext().prec):
                break
        found.append(x)
    return sorted(found)


def solve(m, b):
    """The solution of m x = b by elimination with row exchanges; both are overwritten."""
    n = len(b)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(m[i][k]))
        m[k], m[pivot], b[k], b[pivot] = m[pivot], m[k], b[pivot], b[k]
        top = m[k][k + 1:]
        for i in range(k + 1, n):
            f = m[i][k]
            if f:
                f /= m[k][k]
                m[i][k + 1:] = [a - f * c for a, c in zip(m[i][k + 1:], top)]
                b[i] -= f * b[k]
    for k in reversed(range(n)):
        b[k] = (b[k] - sum(map(mul, m[k][k + 1:], b[k + 1:]))) / m[k][k]
    return b


class Radau:
    def __init__(self, s):
        with localcontext() as context:
            context.prec += 30
            c = nodes(s)
            power = [[x**k for x in c] for k in range(s)]
            self.a = [solve([list(r) for r in power], [x**(k + 1) / (k + 1) for k in range(s)]) for x in c]
            # The coefficient of P_(s-1) of the polynomial through values at the nodes is last . values.
            top = legendre(s - 1)[s - 1][-1]
            self.last = []
            for i in range(s):
                w = top
                for j in range(s):
                    w *= c[i] - c[j] if j != i else 1
                self.last.append(1 / w)
        self.s, self.c = s, c

    def newton(self, f, t, y, h):
        """Stage slopes, or None: z_i = h sum_j a_ij f(y + z_j)."""
        n, s = len(y), self.s
        z, size, before = [[D(0)] * n for _ in range(s)], [max(abs(v), D("1e-60")) for v in y], None
        for _ in range(12):
            k, j = [], []
            for c, d in zip(self.c, z):
                point = [a + b for a, b in zip(y, d)]
                k.append(f(t + c * h, point))
                j.append(jacobian(f, t + c * h, point, k[-1]))
            m = [[-h * self.a[i][p] * j[p][r][q] + (i == p and r == q) for p in range(s) for q in range(n)]
                 for i in range(s) for r in range(n)]
            b = [h * sum(self.a[i][p] * k[p][r] for p in range(s)) - z[i][r] for i in range(s) for r in range(n)]
            d = solve(m, b)
            z = [[z[i][r] + d[i * n + r] for r in range(n)] for i in range(s)]
            size = [max([v] + [abs(z[i][r]) for i in range(s)]) for r, v in enumerate(size)]
            change = max(abs(d[i * n + r]) / size[r] for i in range(s) for r in range(n))
            if change < D("1e-22"):  # quadratic: what is left is its square
                return z, k
            if before and change > before and change > D("0.1") and before < 100:
                return None
            before = change
        return None

    def solve(self, f, y, t, t1, bound):
        """y(t1) from y(t), and the number of steps."""
        h, steps = (t1 - t) * D("1e-16"), 0
        while t < t1:
            h = min(h, t1 - t)
            stages = self.newton(f, t, y, h)
            if not stages:
                h /= 3
                continue
            z, k = stages
            end = [a + b for a, b in zip(y, z[-1])]
            error = max(abs(h * sum(w * k[i][r] for i, w in enumerate(self.last))) /
                        max(abs(y[r]), abs(end[r]), D("1e-60")) for r in range(len(y)))
            grow = (bound / error) ** (D(1) / self.s) * D("0.9") if error else D(4)
            if error <= bound:
                t, y, steps = (t1 if h == t1 - t else t + h), end, steps + 1
            h *= max(D("0.2"), min(D(4), grow))
        return y, steps


def jacobian(f, t, y, slope):
    """By differences that use half of the digits."""
    columns = []
    for i, v in enumerate(y):
        d = (abs(v) + D("1e-20")) * D("1e-22")
        moved = f(t, y[:i] + [v + d] + y[i + 1:])
        columns.append([(a - b) / d for a, b in zip(moved, slope)])
    return [list(row) for row in zip(*columns)]


# ---- runs -----------------------------------------------------------------------------------------

def numbers(text):
    return [D(x) for x in text.split()]


PRINTED = {  # Mazzia & Magherini; derivatives of VDPOL times 1/mu
    "robertson1e11": numbers("0.2083340149701255e-7 0.8333360770334713e-13 0.9999999791665050"),
    "vanderpol": numbers("0.1706167732170483e1 -0.8928097010247975e-3"),
    "hires": numbers("0.7371312573325668e-3 0.1442485726316185e-3 0.5888729740967575e-4 0.1175651343283149e-2"
                     " 0.2386356198831331e-2 0.6238968252742796e-2 0.2849998395185769e-2 0.2850001604814231e-2"),
    "oregonator": numbers("0.1000814870318523e1 0.1228178521549917e4 0.1320554942846706e3")}

RUNS = [("robertson40", robertson, "1 0 0", "40"), ("robertson4e5", robertson, "1 0 0", "4e5"),
        ("robertson1e11", robertson, "1 0 0", "1e11"), ("vanderpol", van_der_pol, "2 0", "2000"),
        ("oregonator", oregonator, "1 2 3", "360"), ("hires", hires, "1 0 0 0 0 0 0 0.0057", "321.8122")]


def implicit(chosen):
    end = {}
    for s, bound in PASSES:
        method = Radau(s)
        for name, f, y0, t1 in RUNS:
            if chosen and name not in chosen:
                continue
            y, steps = method.solve(f, numbers(y0), D(0), D(t1), bound)
            if name in end:
                require(f"{name} {s} stages, {steps} steps", difference(end[name], y), AGREE)
            end[name] = y
            print(name, s, steps, *(f"{v:.25e}" for v in y), file=sys.stderr, flush=True)
    return end


def explicit(end):
    y, steps = taylor(hires, numbers("1 0 0 0 0 0 0 0.0057"), D("321.8122"), 30, D("1e-32"))
    require(f"hires by Taylor series, {steps} steps", difference(end["hires"], y), AGREE)
    y, steps = taylor(brusselator, brusselator_start(), D(10), 24, D("1e-32"))
    end["brusselator"], steps = taylor(brusselator, brusselator_start(), D(10), 30, D("1e-38"))
    require(f"brusselator, two Taylor series, {steps} steps", difference(end["brusselator"], y), AGREE)


def main(chosen):
    end = implicit(chosen)
    if not chosen:
        explicit(end)
    for name, values in PRINTED.items():
        if name in end:
            require(f"{name} as printed", difference(end[name], values), D("1e-11"))
    print("# stiff problems: name, dimension, end values; made by python3 tests/data/stiff.py >"
          " tests/data/stiff.txt")
    print(f"# Python {platform.python_version()}, module decimal; Radau IIA of {PASSES[0][0]} and {PASSES[1][0]}"
          " stages agree to 22 digits; the Brusselator: Taylor series of orders 24 and 30")
    for name, y in end.items():
        print(name, len(y), *(f"{v:.21e}" for v in y))


if __name__ == "__main__":
    main(sys.argv[1:])
