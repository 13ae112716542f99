# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads with diffrax on JAX, a whole iteration jitted; compiling is timed apart (compile_s)."""
from functools import partial

import common
from diffrax_common import ADJOINTS, Training, args, compiled, parameters, rmsprop, solve

import diffrax
import jax
import jax.numpy as jnp

import diffrax_cnf
import diffrax_latent


def spiral_field(t, y, layers):
    (w1, b1), (w2, b2) = layers
    return jnp.tanh(y ** 3 @ w1 + b1) @ w2 + b2


def small_field(t, y, layers):
    (w1, b1), (w2, b2) = layers
    return jnp.tanh(jax.nn.softplus(y @ w1 + b1) @ w2 + b2)


def spiral(args):
    """Training steps with batches made beforehand."""
    ts, rows = jnp.array(common.numbers(args, "times")), jnp.array(common.table(args, "batches"))
    y0, y = rows[:, :40].reshape(-1, 20, 2), rows[:, 40:].reshape(-1, 20, 10, 2).transpose(0, 2, 1, 3)
    for gradient, adjoint in ADJOINTS.items():
        def loss(layers, y0, y, adjoint=adjoint()):
            ys, nfe = solve(spiral_field, diffrax.Dopri5(), 1e-7, 1e-9, adjoint, layers, y0, ts)
            return jnp.mean(jnp.abs(ys - y)), nfe
        yield "", gradient, Training(parameters([2, 50, 2]), rmsprop(1e-3), loss, list(zip(y0, y))).measure


def measure(loss, layers, gradient):
    """Times loss(layers) -> value, evaluations; with its gradient by the layers if one is named."""
    work = loss if gradient == "none" else jax.value_and_grad(loss, has_aux=True)
    work, seconds = compiled(work, layers)

    def step(_):
        result = jax.block_until_ready(work(layers))
        value, nfe = result if gradient == "none" else result[0]
        return value, nfe, 0 if gradient == "none" else None

    return {**common.timed(step), "compile_s": seconds}


def spiral_sciml(args):
    layers = parameters([2, 50, 2])
    y0, ts = (jnp.array(common.numbers(args, what)) for what in ("y0", "times"))
    target = jnp.array(common.table(args, "target"))
    for variant, rtol, atol in ("1e-3", 1e-3, 1e-6), ("1e-7", 1e-7, 1e-9):
        for gradient, adjoint in ADJOINTS.items():
            def loss(layers, rtol=rtol, atol=atol, adjoint=adjoint()):
                ys, nfe = solve(spiral_field, diffrax.Tsit5(), rtol, atol, adjoint, layers, y0, ts)
                return jnp.mean((ys - target) ** 2), nfe
            yield variant, gradient, partial(measure, loss, layers, gradient)


def small_node(args):
    layers, y0 = parameters([4, 32, 4]), jnp.array(common.table(args, "y0"))
    for outputs in 2, 100:
        for gradient in "none", "discrete":
            def loss(layers, ts=jnp.linspace(0, 100, outputs)):
                adjoint = ADJOINTS["discrete"]()
                ys, nfe = solve(small_field, diffrax.Dopri5(), 1e-6, 1e-6, adjoint, layers, y0, ts)
                return jnp.mean(ys), nfe
            yield f"{outputs} outputs", gradient, partial(measure, loss, layers, gradient)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", args.dtype == "f64")
    common.run(args, "diffrax", f"diffrax {diffrax.__version__}, jax {jax.__version__}", {
        "spiral": spiral, "spiral_sciml": spiral_sciml, "small_node": small_node,
        "latent_spiral": diffrax_latent.latent_spiral, "cnf_circles": diffrax_cnf.circles,
        "cnf_8gaussians": diffrax_cnf.eight_gaussians})
