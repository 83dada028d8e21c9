"""Makes vectors.f32, the reference that tests/minilm.rs compares the worker with.

The vectors are what sentence-transformers computes in fp32 on a CPU for each line of sentences.json: 200 rows of 384
little-endian floats. Run it again only when the sentences change:

    python3 -m venv /tmp/reference && . /tmp/reference/bin/activate
    pip install torch==2.11.0 sentence-transformers==6.2.0 transformers==5.23.0 numpy==2.4.6
    python worker/tests/reference/make.py "$(e2e/models/fetch.sh)"
"""

import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402

here = pathlib.Path(__file__).parent
sentences = json.loads((here / "sentences.json").read_text())
model = SentenceTransformer(sys.argv[1], device="cpu", model_kwargs={"dtype": torch.float32})
# One sentence a batch: no padding, so that the reference does not depend on its neighbours.
vectors = model.encode(sentences, batch_size=1, convert_to_numpy=True)
assert vectors.shape == (200, 384) and vectors.dtype == "float32"
(here / "vectors.f32").write_bytes(vectors.astype("<f4").tobytes())
lengths = [len(ids) for ids in model.tokenizer(sentences, truncation=True, max_length=model.max_seq_length)["input_ids"]]
print(f"{len(sentences)} sentences, {sum(lengths)} tokens, longest {max(lengths)}, truncated at {model.max_seq_length}")
