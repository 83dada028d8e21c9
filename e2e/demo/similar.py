"""Prints how near sentences are to the first one. Reads an answer of /v1/embeddings from standard input."""

import json
import math
import sys

sentences = sys.argv[1:]
vectors = [item["embedding"] for item in json.load(sys.stdin)["data"]]
first = vectors[0]
print(f'        "{sentences[0]}"')
for sentence, vector in zip(sentences[1:], vectors[1:]):
    near = sum(a * b for a, b in zip(first, vector)) / math.hypot(*first) / math.hypot(*vector)
    print(f'        {near:6.2f}  "{sentence}"')
