# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads with diffrax on JAX, a whole iteration jitted; compiling is timed apart (compile_s).

A batch is one solve: its state has the batch as an axis, and the error norm is over all of it.
nfe_forward is num_steps * 6 + 1, as a counting field shows: both methods reuse their last stage, and
the first step is 0.01 without a trial. What the backward pass evaluates is not told: nfe_backward is null.
"""
import os
import time
from functools import partial

import common

args = common.arguments()
if args.threads == 1:  # read when jax is imported
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import diffrax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

STEPS = 128  # at most; with as many checkpoints no step is computed more than twice
ADJOINTS = {"discrete": partial(diffrax.RecursiveCheckpointAdjoint, checkpoints=STEPS),
            "backsolve": diffrax.BacksolveAdjoint}


def parameters(sizes):
    return [(jnp.array(w), jnp.array(b)) for w, b in common.layers(args, sizes)]


def spiral_field(t, y, layers):
    (w1, b1), (w2, b2) = layers
    return jnp.tanh(y ** 3 @ w1 + b1) @ w2 + b2


def small_field(t, y, layers):
    (w1, b1), (w2, b2) = layers
    return jnp.tanh(jax.nn.softplus(y @ w1 + b1) @ w2 + b2)


def solve(field, solver, rtol, atol, adjoint, layers, y0, ts):
    """The outputs [T, ...] and the number of evaluations."""
    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(field), solver, ts[0], ts[-1], None, y0, args=layers,
        saveat=diffrax.SaveAt(ts=ts), adjoint=adjoint, max_steps=STEPS,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol))
    return sol.ys, 6 * sol.stats["num_steps"] + 1


def compiled(function, *inputs):
    """The jitted function, compiled for such inputs, and the seconds this took."""
    began = time.perf_counter()
    f = jax.jit(function).lower(*inputs).compile()
    return f, time.perf_counter() - began


class Training:
    """Training steps on the spiral with batches made beforehand."""

    def __init__(self, adjoint):
        self.start = parameters([2, 50, 2])
        self.ts = jnp.array(common.numbers(args, "times"))
        rows = jnp.array(common.table(args, "batches"))
        self.y0 = list(rows[:, :40].reshape(-1, 20, 2))
        self.y = list(rows[:, 40:].reshape(-1, 20, 10, 2).transpose(0, 2, 1, 3))
        self.solve = partial(solve, spiral_field, diffrax.Dopri5(), 1e-7, 1e-9, adjoint)
        self.restart()

    def restart(self):
        self.layers, self.v = self.start, jax.tree.map(jnp.zeros_like, self.start)

    def loss(self, layers, y0, y):
        ys, nfe = self.solve(layers, y0, self.ts)
        return jnp.mean(jnp.abs(ys - y)), nfe

    def update(self, layers, v, y0, y):
        """One step of RMSprop."""
        (loss, nfe), grad = jax.value_and_grad(self.loss, has_aux=True)(layers, y0, y)
        v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, grad)
        layers = jax.tree.map(lambda p, g, v: p - 1e-3 * g / (jnp.sqrt(v) + 1e-8), layers, grad, v)
        return layers, v, loss, nfe

    def measure(self):
        update, seconds = compiled(self.update, self.layers, self.v, self.y0[0], self.y[0])

        def step(i):
            self.layers, self.v, loss, nfe = jax.block_until_ready(
                update(self.layers, self.v, self.y0[i], self.y[i]))
            return loss, nfe, None

        return {**common.timed(step, len(self.y0), self.restart), "compile_s": seconds}


def spiral(args):
    for gradient, adjoint in ADJOINTS.items():
        yield "", gradient, Training(adjoint()).measure


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
        "spiral": spiral, "spiral_sciml": spiral_sciml, "small_node": small_node})
