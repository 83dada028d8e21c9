"""The SDK of SIE, which asks and is answered in msgpack."""
import asyncio

import numpy as np
import requests

from embedding import TEXTS, same
from ranking import DOCUMENTS, QUERY
from ranking import plain as ranks

ITEMS = [{"id": f"t{place}", "text": text} for place, text in enumerate(TEXTS)]


def client(url):
    from sie_sdk import SIEClient
    return SIEClient(url)


def encode(url, name):
    one = client(url).encode(name, ITEMS[1])
    assert one["id"] == "t1" and one["dense"].dtype == np.float32 and one["timing"]["total_ms"] > 0, one
    same(url, [one["dense"]], TEXTS[1:2])
    several = client(url).encode(name, ITEMS)
    assert [item["id"] for item in several] == [item["id"] for item in ITEMS]
    return same(url, [item["dense"] for item in several])


def encode_async(url, name):
    from sie_sdk import SIEAsyncClient

    async def ask():
        async with SIEAsyncClient(url) as asked:
            return await asked.encode(name, ITEMS)

    return same(url, [item["dense"] for item in asyncio.run(ask())])


def two_kinds(url, name):
    got = client(url).encode(name, ITEMS, output_types=["dense", "multivector"])
    same(url, [item["dense"] for item in got])
    wanted = requests.post(f"{url}/embed_all", json={"inputs": TEXTS}).json()
    for item, vectors in zip(got, wanted):
        assert item["multivector"].shape == np.asarray(vectors).shape
        assert abs(item["multivector"] - np.asarray(vectors)).max() < 1e-5
    return f"vectors of {sum(len(vectors) for vectors in wanted)} tokens"


def small_numbers(url, name):
    exact = np.asarray([item["dense"] for item in client(url).encode(name, ITEMS)])
    ask = lambda dtype: np.asarray([item["dense"] for item in client(url).encode(name, ITEMS, output_dtype=dtype)])
    half = ask("float16")
    assert half.dtype == np.float16 and (half == exact.astype(np.float16)).all()
    largest = abs(exact).max(axis=1, keepdims=True)
    signed = np.round(exact / largest * 127).astype(np.int8)
    assert abs(ask("int8").astype(int) - signed).max() <= 1
    assert (ask("binary") == np.packbits((exact > 0).astype(np.uint8), axis=-1)).all()
    return "float16, int8 and binary as numpy makes them"


def score(url, name):
    got = client(url).score(name, {"id": "q", "text": QUERY}, [{"id": str(i), "text": text} for i, text in enumerate(DOCUMENTS)])
    wanted = ranks(url)
    assert got["query_id"] == "q" and [entry["rank"] for entry in got["scores"]] == list(range(len(DOCUMENTS)))
    assert [int(entry["item_id"]) for entry in got["scores"]] == [index for index, _ in wanted], (got, wanted)
    assert all(abs(entry["score"] - score) < 1e-5 for entry, (_, score) in zip(got["scores"], wanted)), (got, wanted)
    return f"{len(wanted)} scores, equal to /rerank"


def rows(dense, ranker):
    checks = [
        ("SIEClient.encode", encode, dense),
        ("SIEAsyncClient.encode", encode_async, dense),
        ("SIEClient.encode, dense and multivector", two_kinds, dense),
        ("SIEClient.encode, output_dtype", small_numbers, dense),
        ("SIEClient.score", score, ranker),
    ]
    return [("sie-sdk", call, check, worker.url, worker.name) for call, check, worker in checks]
