# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads with torchdiffeq on PyTorch."""
from functools import partial

import torch
import torchdiffeq

import common
import torch_cnf
import torch_latent
from torch_common import SOLVERS, Field, Training


def spiral_field(args):
    return Field(common.layers(args, [2, 50, 2]), [torch.nn.Tanh(), None], power=3)


def forward_only(field, loss):
    """An iteration that only solves."""
    def step(_):
        with torch.no_grad():
            value = loss()
        return value, field.counted(), 0
    return step


def with_gradient(field, loss):
    """An iteration that also computes the gradient by the parameters."""
    def step(_):
        field.zero_grad()
        value = loss()
        forward = field.counted()
        value.backward()
        return value.detach(), forward, field.counted()
    return step


def iteration(gradient):
    return forward_only if gradient == "none" else with_gradient


def spiral(args):
    """Training steps with batches made beforehand."""
    t = torch.tensor(common.numbers(args, "times"))
    rows = torch.tensor(common.table(args, "batches"))
    y0 = rows[:, :40].reshape(-1, 20, 2)
    y = rows[:, 40:].reshape(-1, 20, 10, 2).transpose(1, 2).contiguous()
    for gradient, solve in SOLVERS.items():
        field = spiral_field(args)
        path = partial(solve, field, t=t, rtol=1e-7, atol=1e-9, method="dopri5")
        loss = lambda i, path=path: torch.mean(torch.abs(path(y0[i]) - y[i]))
        training = Training(field, field, partial(torch.optim.RMSprop, lr=1e-3), loss)
        yield "", gradient, partial(training.measure, len(y0))


def spiral_sciml(args):
    """dopri5, as torchdiffeq has no tsit5."""
    field = spiral_field(args)
    y0, t = (torch.tensor(common.numbers(args, what)) for what in ("y0", "times"))
    target = torch.tensor(common.table(args, "target"))
    for variant, rtol, atol in ("1e-3", 1e-3, 1e-6), ("1e-7", 1e-7, 1e-9):
        for gradient, solve in SOLVERS.items():
            y = partial(solve, field, y0, t, rtol=rtol, atol=atol, method="dopri5")
            loss = lambda y=y: torch.mean((y() - target) ** 2)
            yield variant, gradient, partial(common.timed, with_gradient(field, loss))


def small_node(args):
    field = Field(common.layers(args, [4, 32, 4]), [torch.nn.Softplus(), torch.nn.Tanh()])
    y0 = torch.tensor(common.table(args, "y0"))
    for outputs in 2, 100:
        t = torch.tensor(common.linspace(0, 100, outputs))
        y = partial(torchdiffeq.odeint, field, y0, t, rtol=1e-6, atol=1e-6, method="dopri5")
        for gradient in "none", "discrete":
            step = iteration(gradient)(field, lambda y=y: torch.mean(y()))
            yield f"{outputs} outputs", gradient, partial(common.timed, step)


def large_mlp(args):
    """Five steps of rk4, which is the 3/8 rule here: four evaluations as well."""
    field = Field(common.layers(args, [64, 256, 256, 64]), [torch.nn.Tanh(), torch.nn.Tanh(), None])
    y0, t = torch.tensor(common.table(args, "y0")), torch.tensor([0.0, 1.0])
    y = partial(torchdiffeq.odeint, field, y0, t, method="rk4", options={"step_size": 0.2})
    for gradient in "none", "discrete":
        step = iteration(gradient)(field, lambda: torch.mean(y()[-1] ** 2))
        yield "", gradient, partial(common.timed, step)


if __name__ == "__main__":
    args = common.arguments()
    torch.set_num_threads(args.threads)
    torch.set_default_dtype({"f32": torch.float32, "f64": torch.float64}[args.dtype])
    versions = f"torchdiffeq {torchdiffeq.__version__}, torch {torch.__version__}"
    common.run(args, "torchdiffeq", versions, {
        "spiral": spiral, "spiral_sciml": spiral_sciml, "small_node": small_node, "large_mlp": large_mlp,
        "latent_spiral": torch_latent.latent_spiral, "cnf_circles": torch_cnf.circles,
        "cnf_8gaussians": torch_cnf.eight_gaussians})
