# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workloads with diffrax share: solving, compiling, training. To be imported before jax, which reads its
flags then.

A batch is one solve: its state has the batch as an axis, and the error norm is over all of it.
nfe_forward is num_steps * 6 + 1, as a counting field shows: both methods reuse their last stage, and
the first step is 0.01 without a trial. What the backward pass evaluates is not told: nfe_backward is null.
"""
import os
import time
from functools import partial

import common

args = common.arguments()
if args.threads == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import diffrax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

STEPS = 128  # at most; with as many checkpoints no step is computed more than twice
ADJOINTS = {"discrete": partial(diffrax.RecursiveCheckpointAdjoint, checkpoints=STEPS),
            "backsolve": diffrax.BacksolveAdjoint}


def arrays(layers):
    return [tuple(jnp.array(x) for x in layer) for layer in layers]


def parameters(sizes):
    return arrays(common.layers(args, sizes))


def mlp(layers, x, activation):
    """y = x W + b, with the activation between layers."""
    for w, b in layers[:-1]:
        x = activation(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


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


# ---- training: an optimizer is (start(parameters) -> state, update(gradient, state, parameters) -> both) ---------


def rmsprop(lr, decay=0.99, eps=1e-8):
    def start(p):
        return jax.tree.map(jnp.zeros_like, p)

    def update(g, v, p):
        v = jax.tree.map(lambda v, g: decay * v + (1 - decay) * g * g, v, g)
        return jax.tree.map(lambda p, g, v: p - lr * g / (jnp.sqrt(v) + eps), p, g, v), v

    return start, update


def adam(lr, weight_decay=0.0, b1=0.9, b2=0.999, eps=1e-8):
    """Weight decay is added to the gradient, as in torch.optim.Adam."""
    def start(p):
        zeros = jax.tree.map(jnp.zeros_like, p)
        return zeros, zeros, 0

    def update(g, state, p):
        m, v, n = state
        n = n + 1
        g = jax.tree.map(lambda g, p: g + weight_decay * p, g, p)
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
        new = jax.tree.map(lambda p, m, v: p - lr * (m / (1 - b1 ** n)) / (jnp.sqrt(v / (1 - b2 ** n)) + eps), p, m, v)
        return new, (m, v, n)

    return start, update


class Training:
    """Training steps from always the same start; step i takes loss(parameters, *batches[i]) -> value, evaluations."""

    def __init__(self, start, optimizer, loss, batches):
        self.start, self.loss, self.batches = start, loss, batches
        self.new_state, self.optimize = optimizer
        self.restart()

    def restart(self):
        self.now = self.start, self.new_state(self.start)

    def update(self, parameters, state, *batch):
        (loss, nfe), grad = jax.value_and_grad(self.loss, has_aux=True)(parameters, *batch)
        return self.optimize(grad, state, parameters), loss, nfe

    def measure(self):
        update, seconds = compiled(self.update, *self.now, *self.batches[0])

        def step(i):
            self.now, loss, nfe = jax.block_until_ready(update(*self.now, *self.batches[i]))
            return loss, nfe, None

        return {**common.timed(step, len(self.batches), self.restart), "compile_s": seconds}
