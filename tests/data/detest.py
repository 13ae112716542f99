#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""End values of the 25 non-stiff DETEST problems at t = 20, to 30 digits.

    python3 tests/data/detest.py > tests/data/detest.txt

Problems: T. E. Hull, W. H. Enright, B. M. Fellen, A. E. Sedgwick, Comparing numerical methods for ordinary
differential equations, SIAM J. Numer. Anal. 9 (1972) 603-637, with the initial values of W. H. Enright, J. D.
Pryce, Two FORTRAN packages for assessing initial value methods, ACM TOMS 13 (1987) 1-27. All constants are
the decimal numbers printed there.

Method: Taylor series with the step from the last two coefficients (A. Jorba, M. Zou, A software package for
the numerical integration of ODEs by means of high-order Taylor methods, Exp. Math. 14 (2005) 99-117). Nothing
but the standard library. Two orders, tolerances and precisions must agree to 30 digits in every component;
then closed forms (30 digits) and the printed values of Enright & Pryce (14 digits) are compared.
"""
import platform
import sys
from decimal import Decimal as D, getcontext, localcontext
from operator import mul

PASSES = [(36, D("1e-46"), 64), (48, D("1e-52"), 72)]  # order, local error, digits carried


# ---- Taylor coefficients, one at a time, each from those of its operands -------------------------

class Series:
    tape = []  # of one step, in the order of making: operands first

    def __init__(self, following):
        self.c, self.following = [], following
        Series.tape.append(self)

    def __add__(self, b):
        if isinstance(b, Series):
            return Series(lambda n: self.c[n] + b.c[n])
        return Series(lambda n: self.c[n] + b if n == 0 else self.c[n])

    def __mul__(self, b):
        if isinstance(b, Series):
            return Series(lambda n: sum(map(mul, self.c[:n + 1], reversed(b.c[:n + 1]))))
        return Series(lambda n: self.c[n] * b)

    def __truediv__(self, b):
        if not isinstance(b, Series):
            return Series(lambda n: self.c[n] / b)
        q = Series(lambda n: (self.c[n] - sum(map(mul, q.c, reversed(b.c[1:n + 1])))) / b.c[0])
        return q

    def __pow__(self, p):
        """w = u^p from w' u = p u' w."""
        def following(n):
            if n == 0:
                return self.c[0] ** p
            return sum((p * (n - k) - k) * self.c[n - k] * w.c[k] for k in range(n)) / (n * self.c[0])
        w = Series(following)
        return w

    def __neg__(self): return self * -1
    def __sub__(self, b): return self + -b
    def __rsub__(self, b): return -self + b
    __radd__, __rmul__ = __add__, __mul__


def expand(field, t, y, order):
    """Coefficients of y about t up to this order."""
    Series.tape = []
    time = Series(lambda n: t if n == 0 else D(n == 1))
    state = [Series(None) for _ in y]
    slope = field(time, state)
    for s, v in zip(state, y):
        s.c.append(D(v))
    for n in range(order):
        for s in Series.tape:
            if s.following:
                s.c.append(s.following(n))
        for s, d in zip(state, slope):
            s.c.append(d.c[n] / (n + 1))
    return [s.c for s in state]


def taylor(field, y, t1, order, tolerance):
    """y(t1) from y(0), and the number of steps."""
    t, steps = D(0), 0
    while t < t1:
        c = expand(field, t, y, order)
        h = t1 - t
        for k in (order - 1, order):
            size = max(abs(s[k]) for s in c)
            if size:
                h = min(h, (tolerance / size) ** (D(1) / k))
        y = []
        for s in c:
            v = D(0)
            for a in reversed(s):
                v = v * h + a
            y.append(v)
        t, steps = t + h, steps + 1
    return y, steps


# ---- the problems: initial values (the first n are asked for) and right-hand side -----------------

def chain(diagonal, below, last):
    def field(t, y):
        n = len(y)
        return ([-y[0]] + [below(i) * y[i - 1] - diagonal(i) * y[i] for i in range(1, n - 1)] +
                [last * y[n - 2]])
    return field


def diffusion(t, y):
    n = len(y)
    return [(y[i - 1] if i else 0) - 2 * y[i] + (y[i + 1] if i + 1 < n else 0) for i in range(n)]


def torus(t, y):
    q = (y[0] * y[0] + y[1] * y[1]) ** D("-0.5")
    return [-y[1] - y[0] * y[2] * q, y[0] - y[1] * y[2] * q, y[0] * q]


def planets(t, y):
    k2, m0 = D("2.95912208286"), D("1.00000597682")
    m = [D(x) for x in ("0.000954786104043", "0.000285583733151", "0.0000437273164546",
                        "0.0000517759138449", "0.00000277777777778")]
    x = [y[3 * j:3 * j + 3] for j in range(5)]

    def inverse_cube(v):
        return (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) ** D("-1.5")
    sun = [[c * w for c in v] for v, w in ((v, inverse_cube(v)) for v in x)]  # x/r^3
    pair = {}
    for j in range(5):
        for k in range(j):
            d = [a - b for a, b in zip(x[k], x[j])]
            w = inverse_cube(d)
            pair[j, k] = [c * w for c in d]
            pair[k, j] = [-c for c in pair[j, k]]
    force = [k2 * (-(m0 + m[j]) * sun[j][i] + sum(m[k] * (pair[j, k][i] - sun[k][i]) for k in range(5) if k != j))
             for j in range(5) for i in range(3)]
    return y[15:] + force


def orbit(t, y):
    w = (y[0] * y[0] + y[1] * y[1]) ** D("-1.5")
    return [y[2], y[3], -y[0] * w, -y[1] * w]


def bessel(t, y):
    x = t + 1
    return [y[1], -(y[1] / x + (1 - (x * x) ** -1 * D("0.25")) * y[0])]


def duffing(t, y):  # y[2], y[3] are sin and cos of w t
    w = D("2.78535")
    return [y[1], y[0] * y[0] * y[0] / 6 - y[0] + 2 * y[2], w * y[3], -w * y[2]]


START = """3.42947415189 3.35386959711 1.35494901715 6.64145542550 5.97156957878 2.18231499728 11.2630437207
14.6952576794 6.27960525067 -30.1552268759 1.65699966404 1.43785752721 -21.1238353380 28.4465098142 15.3882659679
-.557160570446 .505696783289 .230578543901 -.415570776342 .365682722812 .169143213293 -.325325669158
.189706021964 .0877265322780 -.0240476254170 -.287659532608 -.117219543175 -.176860753121 -.216393453025
-.0148647893090""".split()
BESSEL = ["0.6713967071418030", "0.09540051444747446"]
ONE = [1] + 9 * [0]


def problems():
    """name: (dimension, initial values, field); made anew for each precision."""
    table = {
        "A1": (1, [1], lambda t, y: [-y[0]]),
        "A2": (1, [1], lambda t, y: [-(y[0] * y[0] * y[0]) / 2]),
        "A3": (1, [1, 0, 1], lambda t, y: [y[0] * y[2], y[2], -y[1]]),  # with sin and cos of t
        "A4": (1, [1], lambda t, y: [y[0] / 4 * (1 - y[0] / 20)]),
        "A5": (1, [4], lambda t, y: [(y[0] - t) / (y[0] + t)]),
        "B1": (2, [1, 3], lambda t, y: [2 * (y[0] - y[0] * y[1]), -(y[1] - y[0] * y[1])]),
        "B2": (3, [2, 0, 1], lambda t, y: [y[1] - y[0], y[0] - 2 * y[1] + y[2], y[1] - y[2]]),
        "B3": (3, [1, 0, 0], lambda t, y: [-y[0], y[0] - y[1] * y[1], y[1] * y[1]]),
        "B4": (3, [3, 0, 0], torus),
        "B5": (3, [0, 1, 1], lambda t, y: [y[1] * y[2], -y[0] * y[2], D("-0.51") * (y[0] * y[1])]),
        "C1": (10, ONE, chain(lambda i: 1, lambda i: 1, 1)),
        "C2": (10, ONE, chain(lambda i: i + 1, lambda i: i, 9)),
        "C3": (10, ONE, diffusion),
        "C4": (51, ONE + 41 * [0], diffusion),
        "C5": (30, [D(x) for x in START], planets)}
    for k in range(5):
        e = D(2 * k + 1) / 10
        table[f"D{k + 1}"] = (4, [1 - e, 0, 0, ((1 + e) / (1 - e)).sqrt()], orbit)
    table.update({
        "E1": (2, [D(x) for x in BESSEL], bessel),
        "E2": (2, [2, 0], lambda t, y: [y[1], (1 - y[0] * y[0]) * y[1] - y[0]]),
        "E3": (2, [0, 0, 0, 1], duffing),
        "E4": (2, [30, 0], lambda t, y: [y[1], D("0.032") - D("0.4") * (y[1] * y[1])]),
        "E5": (2, [0, 0], lambda t, y: [y[1], (1 + y[1] * y[1]) ** D("0.5") / (25 - t)])})
    return table


# ---- closed forms -------------------------------------------------------------------------------

def cis(x):
    """cos and sin."""
    c, s, term, n = D(0), D(0), D(1), 0
    while n < 10 or abs(term) > D(10) ** -getcontext().prec:
        c, s = (c + term, s) if n % 2 == 0 else (c, s + term)
        n += 1
        term *= (x if n % 2 else -x) / n
    return c, s


def pi():
    p = D("3.14159265358979")
    for _ in range(4):
        p += cis(p)[1]
    return p


def atan(x):
    """By Newton's method on tan; |x| < 1."""
    a = x
    for _ in range(9):
        c, s = cis(a)
        a += (x * c - s) * (c + x * s) / (1 + x * x)
    return a


def kepler(e, t):
    E = t
    for _ in range(60):
        c, s = cis(E)
        E -= (E - e * s - t) / (1 - e * c)
    c, s = cis(E)
    b, r = (1 - e * e).sqrt(), 1 - e * c
    return [c - e, b * s, -s / r, b * c / r]


def modes(n, t):
    """Of y' = second difference of y, y(0) = the first unit vector, in sine waves."""
    a = pi() / (n + 1)
    sine = [cis(a * k)[1] for k in range(2 * n + 2)]
    decay = [((2 * cis(a * k)[0] - 2) * t).exp() for k in range(1, n + 1)]
    return [2 * sum(sine[k] * sine[j * k % (2 * n + 2)] * decay[k - 1] for k in range(1, n + 1)) / (n + 1)
            for j in range(1, n + 1)]


def half_bessel(t):
    """(a sin x + b cos x)/sqrt x, x = t + 1, a and b from the values at x = 1."""
    y0, d0 = D(BESSEL[0]), D(BESSEL[1])
    c, s = cis(D(1))
    slope = d0 + y0 / 2
    a, b = y0 * s + slope * c, y0 * c - slope * s
    x = t + 1
    c, s = cis(x)
    y = (a * s + b * c) / x.sqrt()
    return [y, (a * c - b * s) / x.sqrt() - y / (2 * x)]


def closed_forms(t):
    c, s = cis(t)
    e, q = (-t).exp(), 25 / (25 - t)
    factorial = [D(1)]
    for i in range(1, 10):
        factorial.append(factorial[-1] * i)
    chain1 = [t**i / factorial[i] * e for i in range(9)]
    chain2 = [e * (1 - e)**i for i in range(9)]
    v = D("0.08").sqrt()
    k = D("0.4") * v
    up, down = (k * t).exp(), (-k * t).exp()
    form = {
        "A1": [e], "A2": [1 / (1 + t).sqrt()], "A3": [s.exp()], "A4": [20 / (1 + 19 * (-t / 4).exp())],
        "B2": [1 + e / 2 + e**3 / 2, 1 - e**3, 1 - e / 2 + e**3 / 2],
        "B4": [(2 + c) * c, (2 + c) * s, s],
        "C1": chain1 + [1 - sum(chain1)], "C2": chain2 + [(1 - e)**9], "C3": modes(10, t), "C4": modes(51, t),
        "E1": half_bessel(t),
        "E4": [30 + ((up + down) / 2).ln() / D("0.4"), v * (up - down) / (up + down)],
        "E5": [25 * q.ln() / 2 - (625 - (25 - t)**2) / 100, (q - 1 / q) / 2]}
    for i in range(5):
        form[f"D{i + 1}"] = kepler(D(2 * i + 1) / 10, t)
    return form


def invariants(t, y):
    """What must vanish where there is no explicit form of the solution."""
    a5, b1, b3, b5 = y["A5"], y["B1"], y["B3"], y["B5"]
    return {
        "A5": (t * t + a5[0]**2).sqrt() - 4 * (pi() / 2 - atan(a5[0] / t)).exp(),
        "B1": b1[0] - b1[0].ln() + 2 * (b1[1] - b1[1].ln()) - (7 - 2 * D(3).ln()),
        "B3": b3[0] - (-t).exp() + abs(sum(b3) - 1),
        "B5": abs(b5[0]**2 + b5[1]**2 - 1) + abs(b5[2]**2 + D("0.51") * b5[0]**2 - 1)}


# Enright & Pryce: component, value.
PRINTED = {
    "A5": {0: "-0.7887826688964196"}, "B1": {0: "0.6761876008576667", 1: "0.1860816099640036"},
    "B3": {0: "2.061153488557776e-09", 1: "5.257228022048349e-02", 2: "0.9474277177183630"},
    "B5": {0: "-0.9396570798729192", 1: "-0.3421177754000779", 2: "0.7414126596199957"},
    "C4": {0: "3.124111453721466e-03", 25: "2.097466832643746e-05", 50: "1.891330702629865e-14"},
    "C5": dict(enumerate("""-4.792730224323733 -2.420550725448973 -9.212509306014886e-01 -4.217310404035213
        7.356202947498970 3.223785985421212 4.035559443262270 1.719865528670555e+01 7.478910794233703
        -2.998759326324844e+01 -4.107310937550929 -9.277008321754407e-01 -2.442125302518482e+01
        2.381459045746554e+01 1.492096306951359e+01 3.499208963063806e-01 -5.748487687912825e-01""".split())),
    "D1": {0: "2.198835352008397e-01"}, "D5": {0: "-1.295266250987574", 3: "-1.270838154278686e-01"},
    "E2": {0: "2.008149762174948", 1: "-4.250887527320057e-02"},
    "E3": {0: "-1.004178858647128e-01", 1: "2.411400132095954e-01"},
    "E4": {0: "3.395091444646555e+01"}, "E5": {0: "1.411797390542629e+01"}}


def difference(a, b):
    """The largest, relative to each component."""
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


def require(what, error, bound):
    print(f"{what}: {error:.1e}", file=sys.stderr)
    if not error <= bound:
        sys.exit(f"{what}: differs by {error:.3e}, more than {bound}")


def main():
    t, end = D(20), {}
    for order, tolerance, digits in PASSES:
        getcontext().prec = digits
        for name, (n, y0, field) in problems().items():
            y, steps = taylor(field, [D(v) for v in y0], t, order, tolerance)
            if name in end:
                require(f"{name} order {order}, {steps} steps", difference(end[name], y[:n]), D("1e-30"))
            end[name] = y[:n]
    with localcontext() as context:
        context.prec += 12  # the cosine of 20 loses 9 digits to cancellation
        for name, form in closed_forms(t).items():
            require(f"{name} closed form", difference(end[name], form), D("1e-30"))
        for name, rest in invariants(t, end).items():
            require(f"{name} invariant", abs(rest), D("1e-30"))
    for name, values in PRINTED.items():
        for i, v in values.items():
            require(f"{name} printed value {i}", abs(end[name][i] - D(v)) / max(1, abs(end[name][i])), D("4e-14"))
    print("# DETEST at t = 20: name, dimension, end values; made by python3 tests/data/detest.py >"
          " tests/data/detest.txt")
    print(f"# Python {platform.python_version()}, module decimal; Taylor series of orders",
          " and ".join(f"{o} ({d} digits)" for o, _, d in PASSES), "agree to 30 digits")
    for name, y in end.items():
        print(name, len(y), *(f"{v:.29e}" for v in y))


if __name__ == "__main__":
    main()
