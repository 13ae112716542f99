# SPDX-License-Identifier: GPL-3.0-or-later
"""latent_spiral with torchdiffeq, as its example latent_ode.py does it: an RNN of all series from their last point to
the first, z0 = mean + exp(logvar / 2) eps, odeint, a decoder; the loss is minus the bound, a mean over series.
"""
from functools import partial

import torch
import torchdiffeq

import common
from torch_common import Field, Training, mlp

LATENT, HIDDEN, NOISE = 4, 25, 0.3
SIZES = {"cell": [2 + HIDDEN, HIDDEN], "head": [HIDDEN, 2 * LATENT], "field": [LATENT, 20, 20, LATENT],
         "decoder": [LATENT, 20, 2]}


class Model(torch.nn.Module):
    def __init__(self, args):
        super().__init__()
        cell, head, field, decoder = common.several(args, SIZES.values())
        self.cell, self.head = mlp(cell, [torch.nn.Tanh()]), mlp(head, [None])
        self.field = Field(field, [torch.nn.ELU(), torch.nn.ELU(), None])
        self.decoder = mlp(decoder, [torch.nn.ReLU(), None])

    def encode(self, y):
        h = torch.zeros(len(y), HIDDEN)
        for i in reversed(range(y.shape[1])):
            h = self.cell(torch.cat((y[:, i], h), dim=1))
        return self.head(h).chunk(2, dim=1)

    def loss(self, y, eps, t):
        mean, logvar = self.encode(y)
        z0 = mean + torch.exp(0.5 * logvar) * eps
        z = torchdiffeq.odeint(self.field, z0, t, rtol=1e-7, atol=1e-9, method="dopri5")
        seen = torch.distributions.Normal(self.decoder(z.transpose(0, 1)), NOISE, validate_args=False).log_prob(y)
        kl = 0.5 * (mean ** 2 + torch.exp(logvar) - 1 - logvar)
        return torch.mean(kl.sum(1) - seen.sum((1, 2)))


def latent_spiral(args):
    model = Model(args)
    t, y, eps = (torch.tensor(x) for x in (common.numbers(args, "times"), common.table(args, "series"),
                                           common.table(args, "eps")))
    y = y.reshape(len(y), len(t), 2)
    training = Training(model, model.field, partial(torch.optim.Adam, lr=1e-2), lambda i: model.loss(y, eps, t))
    yield "", "discrete", partial(training.measure, int(common.numbers(args, "steps")[0]))
