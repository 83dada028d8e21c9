"""Pieces that the networks share."""

import torch


def heads(x: torch.Tensor, count: int) -> torch.Tensor:
    """From `[texts, tokens, hidden]` to `[texts, heads, tokens, size]`."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def rotate_halves(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turns the first dimensions, as many as `angles` has twice; a dimension's partner is half of them away."""
    turned, rest = x[..., : 2 * angles.shape[-1]], x[..., 2 * angles.shape[-1] :]
    first, second = turned.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), dim=-1)


def rotate_neighbours(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """As above, but a dimension's partner is beside it."""
    turned, rest = x[..., : 2 * angles.shape[-1]], x[..., 2 * angles.shape[-1] :]
    first, second = turned[..., ::2], turned[..., 1::2]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    pairs = torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return torch.cat((pairs.flatten(-2), rest), dim=-1)
