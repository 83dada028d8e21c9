"""Workers to talk to, and small models for them."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np


def head_folder(minilm, folder, labels, head="SequenceClassification"):
    """A small BERT with a head and random weights, and the tokenizer of the other model. One label is a reranker."""
    hidden, inner, layers, vocabulary, positions = 32, 64, 2, 30522, 128
    folder.mkdir(parents=True)
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"]:
        shutil.copy(minilm / name, folder / name)
    config = {
        "architectures": [f"BertFor{head}"], "model_type": "bert", "vocab_size": vocabulary,
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": inner,
        "hidden_act": "gelu", "max_position_embeddings": positions, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "pad_token_id": 0, "id2label": dict(enumerate(labels)), "label2id": {l: i for i, l in enumerate(labels)},
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokens = json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": positions}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))
    shapes = {
        "embeddings.word_embeddings.weight": [vocabulary, hidden],
        "embeddings.position_embeddings.weight": [positions, hidden],
        "embeddings.token_type_embeddings.weight": [2, hidden],
    }
    linear = lambda name, rows, columns: shapes.update({f"{name}.weight": [rows, columns], f"{name}.bias": [rows]})
    norm = lambda name: shapes.update({f"{name}.weight": [hidden], f"{name}.bias": [hidden]})
    norm("embeddings.LayerNorm")
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        for part in ["query", "key", "value"]:
            linear(f"{at}.attention.self.{part}", hidden, hidden)
        linear(f"{at}.attention.output.dense", hidden, hidden)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", inner, hidden)
        linear(f"{at}.output.dense", hidden, inner)
        norm(f"{at}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
    linear("classifier", len(labels), hidden)
    save(folder / "model.safetensors", shapes)
    return folder


def save(path, shapes):
    random, header, parts, offset = np.random.default_rng(1), {"__metadata__": {"format": "pt"}}, [], 0
    for name, shape in shapes.items():
        values = random.normal(0, 0.2, shape) + (1 if name.endswith("LayerNorm.weight") else 0)
        data = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


class Worker:
    """A worker on a free port, until the end of the `with`."""

    def __init__(self, binary, folder, name, *flags, stdout=subprocess.DEVNULL):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.name, self.stdout = f"http://127.0.0.1:{self.port}", name, stdout
        self.command = [binary, "--model", str(folder), "--served-name", name, "--listen", f"127.0.0.1:{self.port}",
                        "--dtype", "float32", "--threads", "1", *flags]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.stdout, env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait(self, path, what):
        end = time.monotonic() + 60
        while not what(*self.get(path)):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"worker of {self.name}: no answer that was waited for at {path}")
            time.sleep(0.05)

    def ready(self):
        self.wait("/readyz", lambda status, _: status == 200)
        return self

    def drain(self):
        """Ends the worker, which then waits for a body that never comes, and answers others with 503 for ten seconds."""
        held = socket.create_connection(("127.0.0.1", self.port))
        held.sendall(b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        self.wait("/metrics", lambda _, text: "inference_active_requests 1" in text)
        self.process.send_signal(signal.SIGTERM)
        self.wait("/metrics", lambda _, text: "inference_model_loaded 0" in text)
        return held
