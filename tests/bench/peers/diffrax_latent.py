# SPDX-License-Identifier: GPL-3.0-or-later
"""latent_spiral with diffrax: what torch_latent.py does, a scan and a solve in one jitted step."""
import common
from diffrax_common import ADJOINTS, Training, adam, arrays, mlp, solve

import diffrax
import jax
import jax.numpy as jnp

LATENT, HIDDEN, NOISE = 4, 25, 0.3
SIZES = [[2 + HIDDEN, HIDDEN], [HIDDEN, 2 * LATENT], [LATENT, 20, 20, LATENT], [LATENT, 20, 2]]


def field(t, z, layers):
    return mlp(layers, z, jax.nn.elu)


def encode(cell, head, y):
    """Mean and logarithm of the variance of z0, from y [T, B, 2]."""
    def step(h, x):
        return jnp.tanh(mlp(cell, jnp.concatenate([x, h], axis=1), None)), None

    h, _ = jax.lax.scan(step, jnp.zeros((y.shape[1], HIDDEN), y.dtype), y, reverse=True)
    return jnp.split(mlp(head, h, None), 2, axis=1)


def loss(networks, y, eps, ts):
    cell, head, flow, decoder = networks
    mean, logvar = encode(cell, head, y)
    z0 = mean + jnp.exp(0.5 * logvar) * eps
    zs, nfe = solve(field, diffrax.Dopri5(), 1e-7, 1e-9, ADJOINTS["discrete"](), flow, z0, ts)
    seen = jax.scipy.stats.norm.logpdf(y, mlp(decoder, zs, jax.nn.relu), NOISE).sum((0, 2))
    kl = 0.5 * (mean ** 2 + jnp.exp(logvar) - 1 - logvar).sum(1)
    return jnp.mean(kl - seen), nfe


def latent_spiral(args):
    ts, eps = jnp.array(common.numbers(args, "times")), jnp.array(common.table(args, "eps"))
    y = jnp.array(common.table(args, "series")).reshape(len(eps), len(ts), 2).transpose(1, 0, 2)
    batches = [(y, eps, ts)] * int(common.numbers(args, "steps")[0])
    start = [arrays(layers) for layers in common.several(args, SIZES)]
    yield "", "discrete", Training(start, adam(1e-2), loss, batches).measure
