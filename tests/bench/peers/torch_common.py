# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workloads with torchdiffeq share: networks, fields that count their evaluations, training.

discrete: odeint and autograd, which evaluates no field in its backward pass; backsolve: odeint_adjoint.
"""
import torch
import torchdiffeq

import common

SOLVERS = {"discrete": torchdiffeq.odeint, "backsolve": torchdiffeq.odeint_adjoint}


def mlp(layers, activations):
    """The MLP of [(W, b), ...], each layer followed by an activation or None."""
    parts = []
    for (w, b), activation in zip(layers, activations):
        linear = torch.nn.Linear(len(w), len(b))
        linear.load_state_dict({"weight": torch.tensor(w).T, "bias": torch.tensor(b)})
        parts += [linear, activation] if activation else [linear]
    return torch.nn.Sequential(*parts)


class Counted(torch.nn.Module):
    """A field whose forward adds one to count."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def counted(self):
        n, self.count = self.count, 0
        return n


class Field(Counted):
    """An MLP of y ** power."""

    def __init__(self, layers, activations, power=1):
        super().__init__()
        self.power, self.net = power, mlp(layers, activations)

    def forward(self, t, y):
        self.count += 1
        return self.net(y if self.power == 1 else y ** self.power)


class Training:
    """Training steps of a model around a field; loss(i) is the loss of step i, make(parameters) the optimizer."""

    def __init__(self, model, field, make, loss):
        self.model, self.field, self.make, self.loss = model, field, make, loss
        self.start = {k: x.clone() for k, x in model.state_dict().items()}

    def restart(self):
        self.model.load_state_dict(self.start)
        self.optimizer = self.make(self.model.parameters())

    def step(self, i):
        self.optimizer.zero_grad()
        loss = self.loss(i)
        forward = self.field.counted()
        loss.backward()
        self.optimizer.step()
        return loss.detach(), forward, self.field.counted()

    def measure(self, length):
        return common.timed(self.step, length, self.restart)
