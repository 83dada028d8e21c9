"""How far the numbers of a network move if everything in it is rounded, so that a bound for 16-bit floats is that of the network.

Some random networks turn a rounded weight into quite another number: where the few values of a token are almost equal, a norm divides by
what rounding left of their difference. So a bound that fits all networks finds nothing, and a tighter one fails by chance. Here the
reference runs in the type itself, and several times with each weight, and what each layer gives, rounded up or down at random.
"""

import contextlib
import copy

import torch

# Bits of a number's fraction, the leading one among them.
BITS = {"bfloat16": 8, "float16": 11}
RUNS = 6


def rounded(values: torch.Tensor, bits: int, generator) -> torch.Tensor:
    """Each number rounded up or down, the nearer one more often."""
    fraction, exponent = torch.frexp(values)
    scaled = fraction * 2.0**bits
    below = scaled.floor()
    up = torch.rand(scaled.shape, generator=generator) < scaled - below
    return torch.ldexp((below + up) / 2.0**bits, exponent)


@contextlib.contextmanager
def rounding(model, bits: int, generator):
    """The model with rounded weights and layers."""
    exact = [(weight, weight.data.clone()) for weight in model.parameters()]
    hooks = []
    for module in model.modules():
        if not list(module.children()):
            hooks.append(module.register_forward_hook(lambda _, __, out: of_layer(out, bits, generator)))
    try:
        for weight, values in exact:
            weight.data = rounded(values, bits, generator)
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for weight, values in exact:
            weight.data = values


def of_layer(out, bits: int, generator):
    is_number = isinstance(out, torch.Tensor) and out.is_floating_point()
    return rounded(out, bits, generator) if is_number else out


def of_type(model, dtype):
    """The model with weights in this type. Buffers stay as they are: those of rotations are exact in the reference, too."""
    model = copy.deepcopy(model)
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
    return model


def distance(one: list[float], other: list[float]) -> tuple[float, float]:
    """1 - cosine, and the largest difference as a share of the largest number, or of 0.1; as in `worker/tests/networks.rs`."""
    one, other = torch.tensor(one, dtype=torch.double), torch.tensor(other, dtype=torch.double)
    lengths = (one.norm() * other.norm()).item()
    apart = 1 - (one @ other).item() / lengths if lengths else float(not torch.equal(one, other))
    largest = max(other.abs().max().item(), 0.1)
    return apart, (one - other).abs().max().item() / largest


def moved(model, compute, exact: list[list[list[float]]], seed: int) -> dict:
    """For each type, text and list of numbers, the largest distances of any run. `compute` gives a model's numbers of all texts."""
    generator = torch.Generator().manual_seed(seed)
    most: dict = {}
    for name, bits in BITS.items():
        runs = [compute(of_type(model, getattr(torch, name)))]
        for _ in range(RUNS):
            with rounding(model, bits, generator):
                runs.append(compute(model))
        most[name] = [
            [
                [float(f"{max(column):.3g}") for column in zip(*(distance(run[text][row], numbers) for run in runs))]
                for row, numbers in enumerate(rows)
            ]
            for text, rows in enumerate(exact)
        ]
    return most
