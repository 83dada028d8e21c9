#!/usr/bin/env python3
"""Builds an image of what this machine compiled, without a container engine, and prints `TAR NAME DIGEST`.

usage: build.py IMAGE --out DIR [--tag TAG] [--registry REGISTRY] [--variant cuda]

The images and what is in them are in `images()` below. The tag `content` stands for one that is made of the image's
digest. A second call with the same inputs finds the tar and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.dont_write_bytecode = True  # the checkout stays free of what a run leaves
from oci import Entry, Image, Layer, write_image  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("BELFRY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "belfry")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target")
USER = "65532"  # a number, so that the kubelet can tell that it is not root


class Unbuildable(Exception):
    """What is missing, where, and what to do about it."""


def images(variant: str) -> dict[str, Callable[[], tuple[tuple[Layer, ...], str, str]]]:
    """Each image: its layers, its entrypoint and its version."""
    return {
        "belfry-operator": lambda: program("belfry-operator"),
        "belfry-worker": lambda: worker(variant),
        "alertmanager": lambda: tool("alertmanager", "github.com/prometheus/alertmanager"),
        "llama-cpp": llama_cpp,
        "pause": lambda: tool("pause", None),
        "prometheus": lambda: tool("prometheus", "github.com/prometheus/prometheus"),
        "prometheus-config-reloader": lambda: tool("prometheus-config-reloader", PROMETHEUS_OPERATOR),
        "prometheus-operator": lambda: tool("prometheus-operator", PROMETHEUS_OPERATOR),
        "triton": triton,
    }


PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
DESCRIPTIONS = {
    "belfry-operator": "Runs inference models on Kubernetes",
    "belfry-worker": "Serves an inference model for Belfry",
}
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ACCOUNTS = (
    Entry("/etc/passwd", f"root:x:0:0:root:/:/sbin/nologin\nbelfry:x:{USER}:{USER}:belfry:/:/sbin/nologin\n".encode()),
    Entry("/etc/group", f"root:x:0:\nbelfry:x:{USER}:\n".encode()),
    Entry("/etc/nsswitch.conf", b"hosts: files dns\n"),
)


def program(name: str) -> tuple[tuple[Layer, ...], str, str]:
    """A program of this repository, and the libraries that it loads."""
    binary = compiled(name)
    return (base(libraries(binary)), app(binary, "/usr/local/bin")), f"/usr/local/bin/{name}", belfry_version()


def worker(variant: str) -> tuple[tuple[Layer, ...], str, str]:
    """The worker looks for libtorch in ../lib of its own folder; the CUDA variant has more of it there."""
    binary = compiled("belfry-worker")
    torch = libtorch()
    layers = [
        base([path for path in libraries(binary, torch) if torch not in path.parents]),
        shared(f"libtorch for CPUs, {torch.parent.name}", torch),
    ]
    if variant == "cuda":
        layers.append(shared("libtorch for CUDA", torch.parent.with_name(torch.parent.name + "-cuda") / "lib"))
    return (*layers, app(binary, "/usr/local/bin")), "/usr/local/bin/belfry-worker", belfry_version()


def tool(name: str, module: str | None) -> tuple[tuple[Layer, ...], str, str]:
    """A Go program that stands alone. Its version is the one that a go.mod of e2e/tools pins."""
    folder = CACHE / "tools" / "bin"
    binary = existing(folder / name, "run e2e/tools/build.sh")
    if libraries(binary):
        raise Unbuildable(f"{binary} needs shared libraries, and its image has none: build it with e2e/tools/build.sh")
    version = pinned_version(name, module) if module else belfry_version()
    return (Layer("accounts", ACCOUNTS), app(binary, "/bin")), f"/bin/{name}", version


def llama_cpp() -> tuple[tuple[Layer, ...], str, str]:
    """The server of llama.cpp loads its own libraries from ../lib, and backends from its own folder."""
    version = pinned(ROOT / "e2e" / "engines" / "llama_cpp.sh")
    folder = existing(CACHE / "engines" / f"llama.cpp-{version}", "run e2e/engines/llama_cpp.sh")
    return (base(outside(folder)), tree(f"llama.cpp at {version}", folder, "/app")), "/app/bin/llama-server", version


def triton() -> tuple[tuple[Layer, ...], str, str]:
    """Triton with its Python backend, where it looks for it, and the Python that the backend runs on. Server and backend look
    for their own libraries in a folder that the package named. This release changes the mode of the backend's program, and so
    has to own it."""
    version = pinned(ROOT / "e2e" / "engines" / "triton.sh")
    python = subprocess.run(["/usr/bin/python3", "-c", PRINT_VERSION], capture_output=True, text=True, check=True).stdout.strip()
    folder = existing(CACHE / "engines" / f"triton-{version}-py{python}", "run e2e/engines/triton.sh")
    places = {"server": "/usr/local/bin", "libs": "/nvidia_pytriton.libs", "backend": "/opt/tritonserver/backends/python",
              "python": f"/usr/lib/python{python}"}
    layers = (tree(f"Triton {version}: {part}", folder / part, place, int(USER)) for part, place in places.items())
    # The backend starts its program by way of a shell.
    shell = existing(Path("/bin/bash"), "install bash")
    extra = Layer("a shell, and a folder for temporary files", (Entry("/bin/bash", shell, 0o755), Entry("/tmp", None, 0o1777)))
    return (base(sorted({*outside(folder), *libraries(shell)})), extra, *layers), "/usr/local/bin/tritonserver", version


PRINT_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def outside(folder: Path) -> list[Path]:
    """The libraries of the system that programs and libraries in a folder load."""
    with_code = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
    own = {library.parent for library in with_code}
    # A name with links in it, as a loader prints it, is one of the folder too.
    found = {path for code in with_code for path in libraries(code, *own) if folder.resolve() not in path.resolve().parents}
    return sorted(found)


def tree(comment: str, folder: Path, target: str, owner: int = 0) -> Layer:
    """A folder with all that is in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Layer(comment, tuple(
        Entry(f"{target}/{path.relative_to(folder)}", path, path.stat().st_mode & 0o777, owner) for path in files
    ))


def base(found: list[Path]) -> Layer:
    bundle = existing(Path(CA_BUNDLE), "install ca-certificates")
    # Under the path that the loader asked for, but with the content behind the links: a distribution's
    # merged /usr then needs no links in the image.
    loaded = (Entry(str(path), path, 0o755) for path in found)
    return Layer("libraries of the system, certificates and accounts", (*ACCOUNTS, Entry(CA_BUNDLE, bundle), *loaded))


def shared(comment: str, folder: Path) -> Layer:
    existing(folder, f"run worker/libtorch.sh{' --cuda' if 'cuda' in folder.parent.name else ''}")
    return Layer(comment, tuple(Entry(f"/usr/local/lib/{path.name}", path) for path in sorted(folder.iterdir())))


def app(binary: Path, folder: str) -> Layer:
    return Layer(binary.name, (Entry(f"{folder}/{binary.name}", binary, 0o755),))


def libraries(binary: Path, *search: Path) -> list[Path]:
    """What the loader of this machine would load, the loader itself included."""
    env = {**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(map(str, search))}
    result = subprocess.run(["ldd", binary], env=env, capture_output=True, text=True)
    if "not a dynamic executable" in result.stderr or "statically linked" in result.stdout:
        return []
    if result.returncode:
        raise Unbuildable(f"ldd could not read {binary}: {result.stderr.strip()}")
    missing = re.findall(r"^\s*(\S+) => not found", result.stdout, re.MULTILINE)
    if missing:
        raise Unbuildable(f"{binary} needs {', '.join(missing)}, which this machine does not have: install them, or rebuild it")
    return sorted({Path(path) for path in re.findall(r"(?:=>|^)\s*(/\S+) \(0x", result.stdout, re.MULTILINE)})


def libtorch() -> Path:
    version = pinned(ROOT / "worker" / "libtorch.sh")
    return existing(CACHE / f"libtorch-{version}" / "lib", "run worker/libtorch.sh")


def pinned(script: Path) -> str:
    """The version of what a script fetches. It stands there alone."""
    version = re.search(r"^version=(\S+)", script.read_text(), re.MULTILINE)
    if version is None:
        raise Unbuildable(f"{script} has no line version=…, which names what the image holds")
    return version[1]


def compiled(name: str) -> Path:
    return existing(TARGET / "release" / name, f"run cargo build --release --package {name}, with CARGO_TARGET_DIR={TARGET}")


def existing(path: Path, cure: str) -> Path:
    if not path.exists():
        raise Unbuildable(f"{path} is missing: {cure}")
    return path


def belfry_version() -> str:
    manifest = ROOT / "Cargo.toml"
    version = re.search(r'^version = "(.+)"', manifest.read_text(), re.MULTILINE)
    if version is None:
        raise Unbuildable(f"{manifest} has no line version = …, which the images are labelled with")
    return version[1]


def pinned_version(name: str, module: str) -> str:
    folder = "prometheus-operator" if module == PROMETHEUS_OPERATOR else name
    go_mod = ROOT / "e2e" / "tools" / folder / "go.mod"
    version = re.search(rf"^(?:require)?\s*{re.escape(module)} v(\S+)", go_mod.read_text(), re.MULTILINE)
    if version is None:
        raise Unbuildable(f"{go_mod} does not require {module}, whose version the image {name} is labelled with")
    return version[1]


def fingerprint(image: Image, tag: str) -> str:
    """Of what the tar is made of. Files count by size and time of change, as make does it: reading half a gigabyte to
    find out that nothing is to be done would take longer than all the rest."""
    inputs = hashlib.sha256(repr((image.repository, image.entrypoint, image.user, sorted(image.labels.items()), tag)).encode())
    for source in (Path(__file__), Path(__file__).with_name("oci.py")):
        inputs.update(source.read_bytes())
    for layer in image.layers:
        inputs.update(repr(layer).encode())
        for entry in layer.entries:
            if isinstance(entry.content, Path):
                stat = entry.content.stat()
                inputs.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return inputs.hexdigest()


def build(name: str, out: Path, tag: str, registry: str, variant: str) -> str:
    layers, entrypoint, version = images(variant)[name]()
    labels = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.description": DESCRIPTIONS.get(name, f"{name}, for Belfry's local cluster"),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": version,
    }
    image = Image(f"{registry}/{name}", layers, entrypoint, f"{USER}:{USER}", labels)
    out.mkdir(parents=True, exist_ok=True)
    suffix = "" if variant == "cpu" else f"-{variant}"
    target, record = out / f"{name}{suffix}.tar", out / f"{name}{suffix}.json"
    key = fingerprint(image, tag)
    if target.exists() and record.exists():
        last = json.loads(record.read_text())
        if last["inputs"] == key:
            return f"{target} {last['name']} {last['digest']}"
    # Gone while the tar is written, so that an interrupted run is not taken for a finished one.
    record.unlink(missing_ok=True)
    full_name, digest = write_image(image, tag, suffix, target)
    record.write_text(json.dumps({"inputs": key, "name": full_name, "digest": digest}) + "\n")
    return f"{target} {full_name} {digest}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", choices=sorted(images("cpu")))
    parser.add_argument("--out", type=Path, required=True, help="the folder for the tar and the record of its inputs")
    parser.add_argument("--tag", default="local", help="the image's tag, or `content`; the CUDA variant appends -cuda")
    parser.add_argument("--registry", default="localhost", help="what stands before the image's name")
    parser.add_argument("--variant", choices=["cpu", "cuda"], default="cpu", help="of belfry-worker")
    args = parser.parse_args()
    if args.variant == "cuda" and args.image != "belfry-worker":
        parser.error(f"--variant cuda is for belfry-worker; {args.image} has no variants")
    try:
        print(build(args.image, args.out, args.tag, args.registry, args.variant))
    except (Unbuildable, OSError) as error:
        print(f"build.py {args.image}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
