# SPDX-License-Identifier: GPL-3.0-or-later
"""Continuous normalizing flows with torchdiffeq. Along dz/dt = f(t, z), d log p / dt = -tr df/dz, so with the
change of the logarithm from the data x to z in the base,

    log p(x) = log N(z) - change,        loss = -mean log p(x)

circles is torchdiffeq's example cnf.py: data at t = 10, N(0, 0.1 I) at 0. Its field is written as two products
instead of a batch of one for each unit, which takes less than half the time. eight_gaussians is the toy run of
FFJORD: data at 0, N(0, I) at a learned time. Traces are exact, by one pullback for each dimension as both have them.
"""
from functools import partial

import torch

import common
from torch_common import SOLVERS, Counted, Training, mlp

ADAM = partial(torch.optim.Adam, lr=1e-3)


def trace(f, z):
    """tr df/dz of each row."""
    return sum(torch.autograd.grad(f[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))


class Augmented(Counted):
    """(f, -tr df/dz) of self.velocity(t, z)."""

    def forward(self, t, state):
        self.count += 1
        with torch.enable_grad():
            z = state[0].requires_grad_(True)
            f = self.velocity(t, z)
            return f, -trace(f, z)[:, None]


class HyperField(Augmented):
    """f(t, z) = mean over units of U_w tanh(z . W_w + B_w); W, U, B are what a network makes of t."""
    WIDTH = 64

    def __init__(self, args):
        super().__init__()
        n = 7 * self.WIDTH
        self.net = mlp(common.layers(args, [1, 32, 32, n]), [torch.nn.Tanh(), torch.nn.Tanh(), None])

    def velocity(self, t, z):
        w, u, gate, b = self.net(t.reshape(1)).split([2 * self.WIDTH] * 3 + [self.WIDTH])
        u = (u * torch.sigmoid(gate)).reshape(-1, 2)
        return torch.tanh(z @ w.reshape(-1, 2).T + b) @ u / self.WIDTH


class ConcatSquash(torch.nn.Module):
    """y = (x W + b) sigmoid(t G + g) + t H"""

    def __init__(self, weight, bias, gate, gate_bias, shift):
        super().__init__()
        for name, x in {"weight": weight, "bias": bias, "gate": gate, "gate_bias": gate_bias, "shift": shift}.items():
            setattr(self, name, torch.nn.Parameter(torch.tensor(x)))

    def forward(self, t, x):
        y = torch.addmm(self.bias, x, self.weight)
        return y * torch.sigmoid(t * self.gate + self.gate_bias) + t * self.shift


class SquashField(Augmented):
    def __init__(self, layers):
        super().__init__()
        self.layers = torch.nn.ModuleList(ConcatSquash(*layer) for layer in layers)

    def velocity(self, t, z):
        for layer in self.layers[:-1]:
            z = torch.tanh(layer(t, z))
        return self.layers[-1](t, z)


class Flow(torch.nn.Module):
    """loss(x, times): minus the mean log density, with x at the first time and N(0, var I) at the last."""

    def __init__(self, field, solve, var):
        super().__init__()
        self.field, self.solve, self.std = field, solve, var ** 0.5

    def loss(self, x, times):
        z, change = self.solve(self.field, (x, torch.zeros(len(x), 1)), times, rtol=1e-5, atol=1e-5, method="dopri5")
        base = torch.distributions.Normal(0.0, self.std, validate_args=False).log_prob(z[-1]).sum(1)
        return torch.mean(change[-1][:, 0] - base)


def batches(args, size):
    points = torch.tensor(common.table(args, "points"))
    return list(points.split(size))


def circles(args):
    xs, times = batches(args, 512), torch.tensor([10.0, 0.0])
    for gradient, solve in SOLVERS.items():
        flow = Flow(HyperField(args), solve, 0.1)
        training = Training(flow, flow.field, ADAM, lambda i, flow=flow: flow.loss(xs[i], times))
        yield "", gradient, partial(training.measure, len(xs))


class TimedFlow(Flow):
    """A flow from 0 to a time that is learned through its square root."""

    def __init__(self, field, solve, root):
        super().__init__(field, solve, 1.0)
        self.root = torch.nn.Parameter(torch.tensor(root))

    def loss(self, x):
        return super().loss(x, torch.stack((torch.zeros(()), self.root ** 2)))


def eight_gaussians(args):
    xs, (layers, root) = batches(args, 100), common.concatsquash(args, [2, 64, 64, 64, 2])
    for gradient, solve in SOLVERS.items():
        flow = TimedFlow(SquashField(layers), solve, root)
        training = Training(flow, flow.field, partial(ADAM, weight_decay=1e-5), lambda i, flow=flow: flow.loss(xs[i]))
        yield "", gradient, partial(training.measure, len(xs))
