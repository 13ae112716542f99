# SPDX-License-Identifier: GPL-3.0-or-later
"""Continuous normalizing flows with diffrax: what torch_cnf.py does, with the trace from one Jacobian-vector product
for each dimension. The learned end time T scales the field on 0..1, since BacksolveAdjoint gives no gradient by the
ends of a solve; the steps are the same, the first one is T times what it would be.
"""
import common
from diffrax_common import ADJOINTS, Training, adam, args as options, arrays, mlp, parameters, solve

import diffrax
import jax
import jax.numpy as jnp

WIDTH = 64  # of the field of circles


def augmented(velocity):
    """(f, -tr df/dz) for states (z, log density)."""
    def field(t, state, p):
        z, _ = state
        along = lambda e: jax.jvp(lambda z: velocity(t, z, p), (z,), (jnp.broadcast_to(e, z.shape),))
        f, tangents = jax.vmap(along, out_axes=(None, 0))(jnp.eye(z.shape[1], dtype=z.dtype))
        return f, -jnp.einsum("ibi->b", tangents)
    return field


def density(field, adjoint, p, x, ts, std):
    """Minus the mean log density of x, N(0, std^2 I) being that of its image at the end of ts."""
    (z, change), nfe = solve(field, diffrax.Dopri5(), 1e-5, 1e-5, adjoint, p, (x, jnp.zeros(len(x), x.dtype)), ts)
    base = jax.scipy.stats.norm.logpdf(z[-1], 0, std).sum(1)
    return jnp.mean(change[-1] - base), nfe


def batches(size):
    points = jnp.array(common.table(options, "points"))
    return [(x,) for x in points.reshape(-1, size, 2)]


@augmented
def hyper_field(t, z, layers):
    """Mean over units of U_w tanh(z . W_w + B_w)."""
    p = mlp(layers, jnp.reshape(t, 1).astype(z.dtype), jnp.tanh)
    w, u, gate, b = jnp.split(p, [2 * WIDTH, 4 * WIDTH, 6 * WIDTH])
    u = (u * jax.nn.sigmoid(gate)).reshape(-1, 2)
    return jnp.tanh(z @ w.reshape(-1, 2).T + b) @ u / WIDTH


def circles(args):
    start, ts = parameters([1, 32, 32, 7 * WIDTH]), jnp.array([10.0, 0.0])
    for gradient, adjoint in ADJOINTS.items():
        loss = lambda p, x, adjoint=adjoint(): density(hyper_field, adjoint, p, x, ts, 0.1 ** 0.5)
        yield "", gradient, Training(start, adam(1e-3), loss, batches(512)).measure


def squash(layer, t, x):
    weight, bias, gate, gate_bias, shift = layer
    return (x @ weight + bias) * jax.nn.sigmoid(t * gate + gate_bias) + t * shift


def squash_velocity(s, z, p):
    layers, root = p
    t = root ** 2 * s
    for layer in layers[:-1]:
        z = jnp.tanh(squash(layer, t, z))
    return root ** 2 * squash(layers[-1], t, z)


def eight_gaussians(args):
    layers, root = common.concatsquash(args, [2, 64, 64, 64, 2])
    start, ts = (arrays(layers), jnp.array(root)), jnp.array([0.0, 1.0])
    field = augmented(squash_velocity)
    for gradient, adjoint in ADJOINTS.items():
        loss = lambda p, x, adjoint=adjoint(): density(field, adjoint, p, x, ts, 1.0)
        yield "", gradient, Training(start, adam(1e-3, weight_decay=1e-5), loss, batches(100)).measure
