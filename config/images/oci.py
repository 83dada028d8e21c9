"""Writes container images that depend on nothing but their content.

The same files give the same bytes on every machine: entries are sorted, belong to the user they name, and carry no times. One tar
holds both the OCI layout (containerd, skopeo) and Docker's manifest.json (docker load); both point to the same blobs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Entry:
    """A file of an image; its content is a path to read, or bytes. Without content it is a folder."""

    path: str
    content: Path | bytes | None
    mode: int = 0o644
    owner: int = 0


@dataclass(frozen=True)
class Layer:
    comment: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Image:
    repository: str
    layers: tuple[Layer, ...]
    entrypoint: str
    user: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Blob:
    media_type: str
    digest: str
    size: int

    @property
    def path(self) -> str:
        return "blobs/" + self.digest.replace(":", "/")

    def descriptor(self, **annotations: str) -> dict[str, object]:
        plain = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return {**plain, "annotations": annotations} if annotations else plain


class HashingWriter:
    """A file that knows the SHA-256 of what went through it."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target, self.hash, self.size = target, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self.target.write(data)


def write_image(image: Image, tag: str, suffix: str, target: Path) -> tuple[str, str]:
    """Writes the image to `target` and returns its name and digest. The tag `content` stands for one that is made of
    the digest, so that an image which changed has another name. The suffix ends every tag."""
    # Beside the target: the layers can be larger than a /tmp in memory, and the last step is a rename.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        layers = [write_layer(layer, Path(work) / str(i)) for i, layer in enumerate(image.layers)]
        config, config_bytes = json_blob(CONFIG, image_config(image, layers))
        manifest, manifest_bytes = json_blob(MANIFEST, {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor() for layer in layers],
        })
        tag = manifest.digest.partition(":")[2][:12] if tag == "content" else tag
        tag += suffix
        name = f"{image.repository}:{tag}"
        partial = Path(work) / "image.tar"
        with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar:
            add_json(tar, "index.json", {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [manifest.descriptor(**{
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": tag,
                })],
            })
            add_json(tar, "oci-layout", {"imageLayoutVersion": "1.0.0"})
            add_json(tar, "manifest.json", [{"Config": config.path, "RepoTags": [name], "Layers": [x.path for x in layers]}])
            add_bytes(tar, manifest.path, manifest_bytes)
            add_bytes(tar, config.path, config_bytes)
            for i, layer in unique(layers):
                with open(Path(work) / str(i), "rb") as data:
                    tar.addfile(header(layer.path, 0o644, layer.size), data)
        os.replace(partial, target)
    return name, manifest.digest


def write_layer(layer: Layer, target: Path) -> Blob:
    with open(target, "wb") as file:
        writer = HashingWriter(file)
        with tarfile.open(fileobj=cast("IO[bytes]", writer), mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as tar:
            for entry in with_folders(layer.entries):
                add_entry(tar, entry)
    return Blob(LAYER, "sha256:" + writer.hash.hexdigest(), writer.size)


def with_folders(entries: Iterable[Entry]) -> list[Entry]:
    """The entries and the folders above them, sorted, so that a folder stands before what is in it."""
    found = {entry.path.strip("/"): entry for entry in entries}
    for path in list(found):
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                found.setdefault(str(parent), Entry(str(parent), None, 0o755))
    return [found[path] for path in sorted(found)]


def add_entry(tar: tarfile.TarFile, entry: Entry) -> None:
    path = entry.path.strip("/")
    if entry.content is None:
        info = header(path + "/", entry.mode, 0)
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        add_bytes(tar, path, entry.content, entry.mode)
    else:
        with open(entry.content, "rb") as data:
            tar.addfile(header(path, entry.mode, os.fstat(data.fileno()).st_size, entry.owner), data)


def add_bytes(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    tar.addfile(header(path, mode, len(content)), io.BytesIO(content))


def add_json(tar: tarfile.TarFile, path: str, value: object) -> None:
    add_bytes(tar, path, canonical(value))


def header(path: str, mode: int, size: int, owner: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)  # its defaults are time 0, user 0 and group 0
    info.mode, info.size, info.uid = mode, size, owner
    return info


def image_config(image: Image, layers: list[Blob]) -> dict[str, object]:
    machine = platform.machine()
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": [image.entrypoint],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "Labels": image.labels,
            "User": image.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created_by": layer.comment} for layer in image.layers],
    }


def json_blob(media_type: str, value: object) -> tuple[Blob, bytes]:
    data = canonical(value)
    return Blob(media_type, "sha256:" + hashlib.sha256(data).hexdigest(), len(data)), data


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def unique(layers: list[Blob]) -> Iterator[tuple[int, Blob]]:
    return ((i, layer) for i, layer in enumerate(layers) if layer.digest not in {x.digest for x in layers[:i]})
