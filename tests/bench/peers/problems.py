# SPDX-License-Identifier: GPL-3.0-or-later
"""The initial value problems of lua/costate/bench/ivp.lua for NumPy: name -> (y0, t1, scale of atol, field)."""
import numpy as np


def kepler(e):
    def field(t, s):
        x, y, u, v = s
        r3 = (x * x + y * y) ** 1.5
        return u, v, -x / r3, -y / r3
    return [1 - e, 0, 0, np.sqrt((1 + e) / (1 - e))], 20, 1, field


def arenstorf(t, s):
    mu = 0.012277471
    x, y, u, v = s
    d1, d2 = ((x + mu) ** 2 + y * y) ** 1.5, ((x - (1 - mu)) ** 2 + y * y) ** 1.5
    return (u, v, x + 2 * v - (1 - mu) * (x + mu) / d1 - mu * (x - (1 - mu)) / d2,
            y - 2 * u - (1 - mu) * y / d1 - mu * y / d2)


MASS = np.arange(1, 8)


def pleiades(t, s):
    x, y, u, v = s.reshape(4, 7)
    dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
    r2 = dx * dx + dy * dy
    w = MASS / np.where(r2 > 0, r2, 1) ** 1.5
    return np.concatenate([u, v, (w * dx).sum(1), (w * dy).sum(1)])


def hires(t, s):
    a, b, c, d, e, f, g, h = s
    bound = 280 * f * h
    return (-1.71 * a + 0.43 * b + 8.32 * c + 0.0007, 1.71 * a - 8.75 * b, -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d, -1.745 * e + 0.43 * f + 0.43 * g,
            -bound + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g, bound - 1.81 * g, -bound + 1.81 * g)


def robertson(t, s):
    a, b, c = s
    slow, fast, turn = 0.04 * a, 3e7 * b * b, 1e4 * b * c
    return turn - slow, slow - turn - fast, fast


def brusselator(t, s, n=20, alpha=1 / 50):
    u, v = s[:n], s[n:]
    laplacian = lambda z, edge: np.diff(np.concatenate([[edge], z, [edge]]), 2) * (n + 1) ** 2
    reaction = u * u * v
    return np.concatenate([1 + reaction - 4 * u + alpha * laplacian(u, 1), 3 * u - reaction + alpha * laplacian(v, 3)])


PLEIADES = [3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0]
ARENSTORF = [0.994, 0, 0, -2.00158510637908252240537862224], 17.0652165601579625588917206249
GRID = np.arange(1, 21) / 21

NONSTIFF = {
    "A4": ([1], 20, 1, lambda t, y: y / 4 * (1 - y / 20)),
    "B1": ([1, 3], 20, 1, lambda t, s: (2 * (s[0] - s[0] * s[1]), s[0] * s[1] - s[1])),
    "B5": ([0, 1, 1], 20, 1, lambda t, s: (s[1] * s[2], -s[0] * s[2], -0.51 * s[0] * s[1])),
    "D1": kepler(0.1),
    "D5": kepler(0.9),
    "E2": ([2, 0], 20, 1, lambda t, s: (s[1], (1 - s[0] ** 2) * s[1] - s[0])),
    "lorenz": ([1, 1, 1], 10, 1, lambda t, s: (10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1],
                                               s[0] * s[1] - 8 / 3 * s[2])),
    "pleiades": (PLEIADES, 3, 1, pleiades),
    "arenstorf": (*ARENSTORF, 1, arenstorf),
}
STIFF = {
    "robertson": ([1, 0, 0], 1e11, 1e-6, robertson),
    "van_der_pol": ([2, 0], 2000, 1, lambda t, s: (s[1], 1000 * (1 - s[0] ** 2) * s[1] - s[0])),
    "hires": ([1, 0, 0, 0, 0, 0, 0, 0.0057], 321.8122, 1, hires),
    "orego": ([1, 2, 3], 360, 1, lambda t, s: (77.27 * (s[1] + s[0] * (1 - 8.375e-6 * s[0] - s[1])),
                                               (s[2] - (1 + s[0]) * s[1]) / 77.27, 0.161 * (s[0] - s[2]))),
    "brusselator": (np.concatenate([1 + np.sin(2 * np.pi * GRID), np.full(20, 3.0)]), 10, 1, brusselator),
}
