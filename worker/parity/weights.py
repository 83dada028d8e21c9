"""Weights that need no file: each value follows from the tensor's name, so a case stays small.

`worker/tests/parity.rs` computes the same values. All steps are exact in 32-bit floats.
"""

import json
import math
import pathlib
import struct

import numpy as np

DTYPES = {"F32": "<f4", "F16": "<f2"}


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def values(seed: str, count: int, mean: float, scale: float) -> np.ndarray:
    """`count` floats in [mean - scale, mean + scale), by splitmix64 from the hash of `seed`."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(seed)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return np.float32(mean) + np.float32(scale) * unit


def spec(name: str, shape: list[int], dtype: str) -> dict:
    """Mean and scale that keep activations of a small network near 1."""
    if len(shape) == 1 and name.endswith(("weight", "gamma")):
        mean, scale = 1.0, 0.25
    elif len(shape) < 2:
        mean, scale = 0.0, 0.125
    elif "embed" in name:
        mean, scale = 0.0, 0.5
    else:
        # A power of two is exact, whatever computes it.
        mean, scale = 0.0, 2.0 ** -round(math.log2(shape[-1]) / 2 - 0.7)
    return {"shape": shape, "dtype": dtype, "mean": mean, "scale": scale, "seed": name}


def header(path: pathlib.Path) -> dict:
    """The header of a safetensors file: name to dtype and shape."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return entries


def encode(entry: dict) -> bytes:
    """The bytes of a tensor. bfloat16 is the upper half of a float, rounded to even."""
    count = math.prod(entry["shape"])
    if not entry["dtype"].startswith(("F", "BF")):
        places = np.arange(count, dtype="<i8" if entry["dtype"] == "I64" else "<i4")
        return (places * 7 % entry["below"] if "below" in entry else places).tobytes()
    floats = values(entry["seed"], count, entry["mean"], entry["scale"])
    if entry["dtype"] == "BF16":
        bits = floats.astype("<f4").view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return floats.astype(DTYPES[entry["dtype"]]).tobytes()


def write(path: pathlib.Path, tensors: dict[str, dict]) -> None:
    """Writes a safetensors file with these tensors, in the order of their names."""
    entries, data, offset = {}, [], 0
    for name in sorted(tensors):
        piece = encode(tensors[name])
        dtype, shape = tensors[name]["dtype"], tensors[name]["shape"]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(piece)]}
        data.append(piece)
        offset += len(piece)
    head = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(data))
