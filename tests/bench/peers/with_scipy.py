# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads with SciPy: solving only, as it has no gradients. The state is the flattened batch."""
from functools import partial

import numpy as np
import scipy
from scipy.integrate import solve_ivp

import common
import problems


def small_node(args):
    dtype = {"f32": np.float32, "f64": np.float64}[args.dtype]
    (w1, b1), (w2, b2) = [(np.array(w, dtype), np.array(b, dtype)) for w, b in common.layers(args, [4, 32, 4])]
    y0 = np.array(common.table(args, "y0"), dtype)

    def field(t, y):
        x = y.reshape(y0.shape).astype(dtype, copy=False)  # solve_ivp itself computes in f64
        return np.tanh(np.logaddexp(x @ w1 + b1, dtype(0)) @ w2 + b2).ravel()

    def step(_, outputs):
        t = np.linspace(0, 100, outputs)
        sol = solve_ivp(field, (0, 100), y0.ravel(), method="RK45", t_eval=t, rtol=1e-6, atol=1e-6)
        return sol.y.mean(), sol.nfev, 0

    for outputs in 2, 100:
        yield f"{outputs} outputs", "none", partial(common.timed, partial(step, outputs=outputs))


# The solver of Costate beside which a method is shown: the same one, or one of its kind.
NONSTIFF = {"RK23": "bosh3", "RK45": "dopri5", "DOP853": "dop853"}
STIFF = {"Radau": "kencarp5", "BDF": "gsl.msbdf", "LSODA": "sundials.cvode_bdf"}


def ivp(args, problem_set, methods, tolerances):
    for name, (y0, t1, scale, field) in problem_set.items():
        exact = np.array(common.numbers(args, name))

        def step(_, method, tolerance):
            sol = solve_ivp(field, (0, t1), y0, method=method, rtol=tolerance, atol=tolerance * scale)
            if not sol.success:
                raise RuntimeError(sol.message)
            return (abs(sol.y[:, -1] - exact) / (1 + abs(exact))).max(), sol.nfev, 0

        for method, beside in methods.items():
            for tolerance in tolerances:
                variant = f"{name} {tolerance:.0e} {beside}".replace("e-0", "e-")
                yield variant, "none", partial(common.timed, partial(step, method=method, tolerance=tolerance))


if __name__ == "__main__":
    args = common.arguments()
    common.run(args, "scipy", f"scipy {scipy.__version__}, numpy {np.__version__}", {
        "small_node": small_node,
        "ivp_nonstiff": partial(ivp, problem_set=problems.NONSTIFF, methods=NONSTIFF, tolerances=[1e-3, 1e-6, 1e-9]),
        "ivp_stiff": partial(ivp, problem_set=problems.STIFF, methods=STIFF, tolerances=[1e-4, 1e-6, 1e-8]),
    })
