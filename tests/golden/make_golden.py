"""Make the golden files: the numbers of PyTorch that the tests of the definitions compare with.

Run it where PyTorch is installed (the tests themselves read only the files):

    python tests/golden/make_golden.py

It writes activations.npz, losses.npz, optimizers.npz and schedules.npz beside itself, all in float64.

A golden number must be the true one, so every smooth activation is also computed here with 400 digits by mpmath
(which comes with PyTorch), and the recipe stops if PyTorch is further from the truth than the tests allow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mpmath
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[np.float64]
Settings = dict[str, float]

FOLDER = Path(__file__).parent

# --------------------------------------------------------------------------------------------------------------------
# Activations: value and derivative on one grid
# --------------------------------------------------------------------------------------------------------------------


def squareplus(z: Tensor) -> Tensor:
    """(z + sqrt(z² + 4)) / 2; for z < 0 without its cancellation, by multiplying with the conjugate."""
    root = torch.sqrt(z * z + 4)
    return torch.where(z < 0, 2 / (root - torch.minimum(z, torch.zeros_like(z))), (z + root) / 2)


def softplus(z: Tensor) -> Tensor:
    """PyTorch's default drops log1p(e^-z) above z = 20, an error of 2e-9; above 700 it is below the last bit."""
    return functional.softplus(z, threshold=700)


def hard_sigmoid(z: Tensor) -> Tensor:
    """The same as functional.hardsigmoid (derivative 0 at ±3), whose backward takes 1/6 in float32 (error 5e-9)."""
    return functional.relu6(z + 3) / 6


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: 1.0 * z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "softplus": softplus,
    "leaky_relu": functional.leaky_relu,
    "leaky_relu(slope=0.2)": lambda z: functional.leaky_relu(z, 0.2),
    "elu": functional.elu,
    "elu(alpha=0.5)": lambda z: functional.elu(z, 0.5),
    "celu": functional.celu,
    "celu(alpha=0.5)": lambda z: functional.celu(z, 0.5),
    "selu": functional.selu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "softsign": functional.softsign,
    "relu6": functional.relu6,
    "hard_tanh": functional.hardtanh,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": functional.hardswish,
    "squareplus": squareplus,
    "squared_relu": lambda z: functional.relu(z) ** 2,
    "log_sigmoid": functional.logsigmoid,
    "tanh_shrink": functional.tanhshrink,
}

SELU_SCALE = mpmath.mpf("1.0507009873554804934193349852946")
SELU_ALPHA = mpmath.mpf("1.6732632423543772848170429916717")
NUMBER = mpmath.mpf


def true_log1p_exp(z: NUMBER) -> NUMBER:
    """log(1 + e^z) with as many digits as are asked for."""
    return mpmath.log1p(mpmath.exp(z))


TRUTH: dict[str, Callable[[NUMBER], NUMBER]] = {
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "softplus": true_log1p_exp,
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "elu(alpha=0.5)": lambda z: z if z > 0 else 0.5 * mpmath.expm1(z),
    "celu": lambda z: z if z > 0 else mpmath.expm1(z),
    "celu(alpha=0.5)": lambda z: z if z > 0 else 0.5 * mpmath.expm1(z / 0.5),
    "selu": lambda z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * mpmath.expm1(z)),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "gelu_tanh": lambda z: z / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (z + NUMBER("0.044715") * z**3))),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "mish": lambda z: z * mpmath.tanh(true_log1p_exp(z)),
    "softsign": lambda z: z / (1 + abs(z)),
    "hard_sigmoid": lambda z: min(max((z + 3) / 6, NUMBER(0)), NUMBER(1)),
    "hard_silu": lambda z: z * min(max((z + 3) / 6, NUMBER(0)), NUMBER(1)),
    "squareplus": lambda z: (z + mpmath.sqrt(z * z + 4)) / 2,
    "log_sigmoid": lambda z: -true_log1p_exp(-z),
    "tanh_shrink": lambda z: z - mpmath.tanh(z),
}


def grid() -> Array:
    """Every kink exactly, its neighbors, a dense part, and the far ends."""
    kinks = [0.0, -1.0, 1.0, -3.0, 3.0, 6.0]
    near = [k + d for k in kinks for d in (-1e-8, 1e-8)]
    far = [s * z for z in (10.0, 12.5, 15.0, 20.0, 30.0, 50.0, 88.0, 100.0, 300.0, 1e3, 1e4) for s in (-1, 1)]
    return np.unique(np.concatenate([kinks, near, far, np.linspace(-8, 8, 161)]))


def check(name: str, z: Array, value: Array, derivative: Array) -> None:
    """Stop if PyTorch's numbers are not the true ones to a few units in the last place of max(1, |z|, |result|).

    The true slope is a difference quotient in 400 digits; at a kink PyTorch may take the slope of either side.
    """
    true = TRUTH[name]
    for z_i, value_i, derivative_i in zip(z.tolist(), value.tolist(), derivative.tolist(), strict=True):
        with mpmath.workdps(400):
            x, step = NUMBER(z_i), NUMBER("1e-60")
            expected = true(x)
            slopes = [(true(x + s) - expected) / s for s in (-step, step)]
            errors = {
                "value": abs(NUMBER(value_i) - expected),
                "derivative": min(abs(NUMBER(derivative_i) - slope) for slope in slopes),
            }
        for what, error in errors.items():
            if not error <= 1e-14 * max(1.0, abs(z_i)):
                raise SystemExit(f"PyTorch's {what} of {name} at z = {z_i} is off by {float(error):.1e}")


def activations() -> Iterator[tuple[str, Array]]:
    """The grid as "z", and "<name>:value", "<name>:derivative" for every activation."""
    z = grid()
    yield "z", z
    for name, function in ACTIVATIONS.items():
        argument = torch.tensor(z, requires_grad=True)
        result = function(argument)
        (gradient,) = torch.autograd.grad(result.sum(), argument)
        value, derivative = result.detach().numpy(), gradient.numpy()
        if name in TRUTH:
            check(name, z, value, derivative)
        yield f"{name}:value", value
        yield f"{name}:derivative", derivative


# --------------------------------------------------------------------------------------------------------------------
# Losses: PyTorch's mean over rows and outputs, the single values, and the gradient of the mean
# --------------------------------------------------------------------------------------------------------------------

ELEMENTWISE_LOSSES: dict[str, Callable[..., Tensor]] = {
    "squared_error": functional.mse_loss,
    "absolute_error": functional.l1_loss,
    "huber": functional.huber_loss,
    "huber(delta=0.5)": lambda p, y, reduction: functional.huber_loss(p, y, reduction=reduction, delta=0.5),
    "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
}


def pairs(name: str, random: np.random.Generator) -> tuple[Array, Array]:
    """Predictions and targets of 12 rows and 3 outputs: random, then ties, Huber's kinks exactly, and the far ends."""
    prediction = 2 * random.standard_normal((12, 3))
    target = random.standard_normal((12, 3))
    prediction[8] = target[8]
    prediction[9], target[9] = [1.0, -1.0, 0.5], [0.0, 0.0, 0.0]
    prediction[10], target[10] = [1e4, -1e4, 1e4], [0.0, 0.0, 1e4]
    prediction[11], target[11] = [1e-8, -1e-8, 0.0], [0.0, 0.0, 0.0]
    if name == "binary_cross_entropy":
        target = (target > 0).astype(np.float64)
        prediction[10], target[10] = [1e4, -1e4, -1e4], [1.0, 0.0, 1.0]
        prediction[7], target[7] = [-0.3, 0.0, 40.0], [0.25, 0.5, 0.75]  # soft targets
    return prediction, target


def measured(name: str, loss: Callable[..., Tensor], prediction: Array, target: Tensor) -> Iterator[tuple[str, Array]]:
    """The single values, their mean, and the gradient of the mean with respect to the predictions."""
    argument = torch.tensor(prediction, requires_grad=True)
    mean = loss(argument, target, reduction="mean")
    (gradient,) = torch.autograd.grad(mean, argument)
    yield f"{name}:prediction", prediction
    yield f"{name}:target", target.numpy()
    yield f"{name}:values", loss(argument, target, reduction="none").detach().numpy()
    yield f"{name}:mean", mean.detach().numpy()
    yield f"{name}:gradient", gradient.numpy()


def smooth_binary(prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
    """Binary cross-entropy with the target 0.8 y + 0.1; PyTorch has no smoothing of its own here."""
    return functional.binary_cross_entropy_with_logits(prediction, 0.8 * target + 0.1, reduction=reduction)


def losses() -> Iterator[tuple[str, Array]]:
    """Every elementwise loss, and softmax cross-entropy with class numbers as its target."""
    random = np.random.default_rng(1)
    for name, loss in ELEMENTWISE_LOSSES.items():
        prediction, target = pairs(name, random)
        yield from measured(name, loss, prediction, torch.tensor(target))
    logits = 3 * random.standard_normal((12, 5))
    logits[8] = 0.0
    logits[9] = 1e4
    logits[10] = [1e4, -1e4, 0.0, 1e4, -1e4]
    logits[11] = [-1e4, 1e4, 1e4, 3.0, 3.0]
    classes = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 3])
    yield from measured("softmax_cross_entropy", functional.cross_entropy, logits, torch.tensor(classes))
    smoothed = partial(functional.cross_entropy, label_smoothing=0.1)
    yield from measured("softmax_cross_entropy(smoothing=0.1)", smoothed, logits, torch.tensor(classes))
    prediction, target = pairs("binary_cross_entropy", random)
    yield from measured("binary_cross_entropy(smoothing=0.2)", smooth_binary, prediction, torch.tensor(target))


# --------------------------------------------------------------------------------------------------------------------
# Optimizers: 100 steps on three problems, the gradients recorded with the weights
# --------------------------------------------------------------------------------------------------------------------

Gradient = Callable[[Array, int], Array]
STEPS = 100
CURVATURES = np.array([0.01, 0.1, 1.0, 10.0])
NOISE = np.random.default_rng(2).standard_normal((STEPS, 4)) * np.array([1e-4, 1e-2, 1.0, 100.0])
NOISE[20:30] = 0.0  # a unit that receives nothing for a while
NOISE[:, 0] *= np.arange(STEPS) > 5  # and one whose first gradients are exactly 0, where sqrt(v) = 0


def quadratic(w: Array, step: int) -> Array:
    """Gradient of sum(c w²) / 2 with curvatures c over three decades."""
    return CURVATURES * w


def rosenbrock(w: Array, step: int) -> Array:
    """Gradient of Rosenbrock's curved valley, ((1 - x)² + 100 (y - x²)²) / 100, in the plane."""
    x, y = w
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]) / 100


def noise(w: Array, step: int) -> Array:
    """A fixed random sequence, each coordinate at another scale, whatever the weights are."""
    return NOISE[step]


PROBLEMS: dict[str, tuple[Gradient, Array]] = {
    "quadratic": (quadratic, np.array([1.0, -2.0, 3.0, -4.0])),
    "rosenbrock": (rosenbrock, np.array([-1.2, 1.0])),
    "noise": (noise, np.array([0.5, -0.5, 1.0, 0.0])),
}

# Hyper-parameters by schuss's names. The first setting of each rule holds PyTorch's defaults (SGD's for the first
# four rules); PyTorch has no plain-gradient optimizer apart from SGD, and gd differs from sgd only in its batch.
SETTINGS: dict[str, tuple[Settings, Settings]] = {
    "gd": ({"lr": 0.01}, {"lr": 0.1}),
    "sgd": ({"lr": 0.01}, {"lr": 0.1}),
    "momentum": ({"lr": 0.01, "momentum": 0.9}, {"lr": 0.05, "momentum": 0.5}),
    "nesterov": ({"lr": 0.01, "momentum": 0.9}, {"lr": 0.05, "momentum": 0.5}),
    "adagrad": ({"lr": 0.01, "epsilon": 1e-10}, {"lr": 0.5, "epsilon": 1e-3}),
    "rmsprop": ({"lr": 0.01, "decay": 0.99, "epsilon": 1e-8}, {"lr": 0.002, "decay": 0.8, "epsilon": 1e-3}),
    "adam": (
        {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        {"lr": 0.05, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3},
    ),
    "adamw": (
        {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01},
        {"lr": 0.05, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3, "weight_decay": 0.2},
    ),
}


def torch_optimizer(rule: str, parameter: Tensor, s: Settings) -> torch.optim.Optimizer:
    """PyTorch's optimizer for a rule of schuss, its hyper-parameters renamed."""
    parameters = [parameter]
    if rule in ("gd", "sgd", "momentum", "nesterov"):
        return torch.optim.SGD(parameters, s["lr"], momentum=s.get("momentum", 0.0), nesterov=rule == "nesterov")
    if rule == "adagrad":
        return torch.optim.Adagrad(parameters, s["lr"], eps=s["epsilon"])
    if rule == "rmsprop":
        return torch.optim.RMSprop(parameters, s["lr"], alpha=s["decay"], eps=s["epsilon"])
    betas = (s["beta1"], s["beta2"])
    if rule == "adam":
        return torch.optim.Adam(parameters, s["lr"], betas=betas, eps=s["epsilon"])
    return torch.optim.AdamW(parameters, s["lr"], betas=betas, eps=s["epsilon"], weight_decay=s["weight_decay"])


def trajectory(rule: str, settings: Settings, problem: str) -> tuple[Array, Array]:
    """Gradients [steps, n] and weights [steps + 1, n], the first row of the weights being the start."""
    gradient, start = PROBLEMS[problem]
    parameter = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch_optimizer(rule, parameter, settings)
    gradients, weights = [], [start]
    for step in range(STEPS):
        gradients.append(gradient(weights[-1], step))
        parameter.grad = torch.tensor(gradients[-1])
        optimizer.step()
        weights.append(parameter.detach().numpy().copy())
    return np.array(gradients), np.array(weights)


def optimizers() -> Iterator[tuple[str, Array]]:
    """For every rule, setting and problem ":gradients" and ":weights", and the settings as JSON in "cases"."""
    cases = {}
    for rule, both in SETTINGS.items():
        for number, settings in enumerate(both):
            for problem in PROBLEMS:
                case = f"{rule}-{number}-{problem}"
                cases[case] = {"optimizer": rule, "settings": settings, "problem": problem}
                gradients, weights = trajectory(rule, settings, problem)
                if problem != "noise":
                    yield f"{case}:gradients", gradients
                yield f"{case}:weights", weights
    yield "noise:gradients", NOISE
    yield "cases", np.array(json.dumps(cases))


# --------------------------------------------------------------------------------------------------------------------
# Schedules
# --------------------------------------------------------------------------------------------------------------------


def learning_rates(make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler], steps: int) -> Array:
    """The learning rate in force at steps 0, 1, …, steps, starting from 0.1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def schedules() -> Iterator[tuple[str, Array]]:
    """100 steps of cosine (to 0 at the end), step (× 0.1 every 25), exponential (to a hundredth at the end)."""
    scheduler = torch.optim.lr_scheduler
    yield "cosine", learning_rates(lambda o: scheduler.CosineAnnealingLR(o, T_max=STEPS), STEPS)
    yield "step", learning_rates(lambda o: scheduler.StepLR(o, step_size=25, gamma=0.1), STEPS)
    yield "exponential", learning_rates(lambda o: scheduler.ExponentialLR(o, gamma=0.01 ** (1 / STEPS)), STEPS)


def main() -> None:
    """Write the four files."""
    torch.manual_seed(0)
    for make in (activations, losses, optimizers, schedules):
        path = FOLDER / f"{make.__name__}.npz"
        np.savez_compressed(path, **dict(make()))
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
