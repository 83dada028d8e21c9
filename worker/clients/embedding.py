"""Clients of embeddings, whose vectors must be those of a plain request."""
import asyncio

import httpx
import numpy as np
import requests

TEXTS = ["A bell rings in the tower.", "hello world", "Paris in May", "x"]


def plain(url, texts=TEXTS):
    answer = requests.post(f"{url}/embed", json={"inputs": texts})
    answer.raise_for_status()
    return answer.json()


def same(url, vectors, texts=TEXTS):
    """Asserts that these vectors are those of a plain request."""
    got, wanted = np.asarray(vectors, dtype=np.float64), np.asarray(plain(url, texts))
    assert got.shape == wanted.shape, f"shape {got.shape}, and not {wanted.shape}"
    cosines = (got * wanted).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.min() >= 0.99999, f"cosine {cosines.min()}"
    return f"{len(texts)} vectors, cosine {min(cosines.min(), 1.0):.6f}"


def openai_sync(url, name, **more):
    from openai import OpenAI
    client = OpenAI(base_url=f"{url}/v1", api_key="unused")
    answer = client.embeddings.create(model=name, input=TEXTS, **more)
    assert answer.usage.total_tokens > len(TEXTS) and answer.model == name
    return [row.embedding for row in answer.data]


def openai_async(url, name):
    from openai import AsyncOpenAI

    async def ask():
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused") as client:
            answers = [client.embeddings.create(model=name, input=text) for text in TEXTS]
            return [answer.data[0].embedding for answer in await asyncio.gather(*answers)]

    return same(url, asyncio.run(ask()))


def openai_models(url, name):
    from openai import OpenAI
    client = OpenAI(base_url=f"{url}/v1", api_key="unused")
    assert [model.id for model in client.models.list()] == [name]
    return client.models.retrieve(name).id


def openai_many(url, name):
    from openai import OpenAI
    client = OpenAI(base_url=f"{url}/v1", api_key="unused")
    answer = client.embeddings.create(model=name, input=["a"] * 2048, timeout=60)
    assert len(answer.data) == 2048
    return same(url, [row.embedding for row in answer.data[-2:]], ["a", "a"])


def openai_dimensions(url, name):
    vectors = np.asarray(openai_sync(url, name, dimensions=64))
    assert vectors.shape == (4, 64) and abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    return "64 values of length 1"


def langchain(url, name, **more):
    from langchain_openai import OpenAIEmbeddings
    return OpenAIEmbeddings(base_url=f"{url}/v1", api_key="unused", model=name, **more)


def langchain_token_ids(url, name):
    from openai import BadRequestError
    try:
        langchain(url, name).embed_documents(TEXTS)
    except BadRequestError as error:
        assert "check_embedding_ctx_length=False" in str(error), error
        return f"refused: {error.body['message']}"
    raise AssertionError("token ids of another vocabulary were taken")


def langchain_texts(url, name):
    client = langchain(url, name, check_embedding_ctx_length=False)
    assert same(url, [client.embed_query(TEXTS[0])], TEXTS[:1])
    asyncio.run(client.aembed_documents(TEXTS))
    return same(url, client.embed_documents(TEXTS))


def langchain_many(url, name):
    """1000 texts to a request, its default."""
    vectors = langchain(url, name, check_embedding_ctx_length=False).embed_documents(["a"] * 1200)
    return same(url, vectors[-2:], ["a", "a"])


def langchain_endpoint(url, _):
    from langchain_huggingface import HuggingFaceEndpointEmbeddings
    try:
        HuggingFaceEndpointEmbeddings(model=url)
    except ValueError as error:
        assert "not a URL" in str(error), error
        return "it takes no address: `model` must be a HuggingFace repo ID, not a URL"
    raise AssertionError("it takes addresses; test it so")


def endpoint(url):
    """LangChain's class over the hub's client, which does take an address."""
    from huggingface_hub import AsyncInferenceClient, InferenceClient
    from langchain_huggingface import HuggingFaceEndpointEmbeddings
    client = HuggingFaceEndpointEmbeddings(model="sentence-transformers/all-MiniLM-L6-v2")
    client.client, client.async_client = InferenceClient(model=url), AsyncInferenceClient(model=url)
    return client


def langchain_client(url, _):
    client = endpoint(url)
    asyncio.run(client.aembed_documents(TEXTS))
    same(url, [client.embed_query(TEXTS[1])], TEXTS[1:2])
    return same(url, client.embed_documents(TEXTS))


def llama_openai(url, name):
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    client = OpenAILikeEmbedding(model_name=name, api_base=f"{url}/v1", api_key="unused")
    same(url, [client.get_query_embedding(TEXTS[1])], TEXTS[1:2])
    same(url, asyncio.run(client.aget_text_embedding_batch(TEXTS)))
    return same(url, client.get_text_embedding_batch(TEXTS))


def llama_tei(url, name):
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
    client = TextEmbeddingsInference(model_name=name, base_url=url)
    same(url, [client.get_query_embedding(TEXTS[1])], TEXTS[1:2])
    # It cuts by default.
    assert len(client.get_text_embedding("word " * 2000)) == 384
    return same(url, client.get_text_embedding_batch(TEXTS))


def hub_client(url, _):
    from huggingface_hub import InferenceClient
    client = InferenceClient(model=url)
    same(url, client.feature_extraction(TEXTS[1], normalize=True, truncate=True), TEXTS[1:2])
    return same(url, client.feature_extraction(TEXTS))


def hub_async(url, _):
    from huggingface_hub import AsyncInferenceClient
    return same(url, asyncio.run(AsyncInferenceClient(model=url).feature_extraction(TEXTS)))


def hub_base_url(url, name):
    from huggingface_hub import InferenceClient
    return same(url, InferenceClient(base_url=url).feature_extraction(TEXTS))


def hub_similarity(url, _):
    from huggingface_hub import InferenceClient
    got = InferenceClient(model=url).sentence_similarity(TEXTS[0], other_sentences=TEXTS)
    vectors = np.asarray(plain(url))
    assert abs(np.asarray(got) - vectors @ vectors[0]).max() < 1e-5, got
    return f"{len(got)} similarities"


def infinity(url, name):
    from infinity_client import Client
    from infinity_client.api.default import embeddings, health, models
    from infinity_client.models import OpenAIEmbeddingInputText
    client = Client(base_url=url)
    assert health.sync_detailed(client=client).status_code == 200
    assert [model.id for model in models.sync(client=client).data] == [name]
    answer = embeddings.sync(client=client, body=OpenAIEmbeddingInputText.from_dict({"input": TEXTS, "model": name}))
    return same(url, [row.embedding for row in answer.data])


def with_requests(url, name):
    answer = requests.post(f"{url}/v1/embeddings", json={"input": TEXTS, "model": name})
    assert answer.headers["content-type"] == "application/json"
    return same(url, [row["embedding"] for row in answer.json()["data"]])


def with_httpx(url, name):
    answer = httpx.post(f"{url}/v1/embeddings", json={"input": TEXTS, "model": name})
    return same(url, [row["embedding"] for row in answer.json()["data"]])


def with_aiohttp(url, name):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession(url) as session:
            async with session.post("/v1/embeddings", json={"input": TEXTS, "model": name}) as answer:
                return [row["embedding"] for row in (await answer.json())["data"]]

    return same(url, asyncio.run(ask()))


def rows(worker):
    checks = [
        ("openai", "OpenAI.embeddings.create", lambda url, name: same(url, openai_sync(url, name))),
        ("openai", "AsyncOpenAI.embeddings.create", openai_async),
        ("openai", "OpenAI.embeddings.create, encoding_format=float",
         lambda url, name: same(url, openai_sync(url, name, encoding_format="float"))),
        ("openai", "OpenAI.embeddings.create, dimensions=64", openai_dimensions),
        ("openai", "OpenAI.embeddings.create, 2048 inputs", openai_many),
        ("openai", "OpenAI.models.list, .retrieve", openai_models),
        ("langchain-openai", "OpenAIEmbeddings, as it comes: token ids", langchain_token_ids),
        ("langchain-openai", "OpenAIEmbeddings, check_embedding_ctx_length=False", langchain_texts),
        ("langchain-openai", "OpenAIEmbeddings, 1200 texts", langchain_many),
        ("langchain-huggingface", "HuggingFaceEndpointEmbeddings(model=URL)", langchain_endpoint),
        ("langchain-huggingface", "HuggingFaceEndpointEmbeddings, .client replaced", langchain_client),
        ("llama-index-embeddings-openai-like", "OpenAILikeEmbedding", llama_openai),
        ("llama-index-embeddings-text-embeddings-inference", "TextEmbeddingsInference", llama_tei),
        ("huggingface_hub", "InferenceClient(model=URL).feature_extraction", hub_client),
        ("huggingface_hub", "AsyncInferenceClient.feature_extraction", hub_async),
        ("huggingface_hub", "InferenceClient(base_url=URL).feature_extraction", hub_base_url),
        ("huggingface_hub", "InferenceClient.sentence_similarity", hub_similarity),
        ("infinity_client", "health, models, embeddings", infinity),
        ("requests", "post /v1/embeddings", with_requests),
        ("httpx", "post /v1/embeddings", with_httpx),
        ("aiohttp", "post /v1/embeddings", with_aiohttp),
    ]
    return [(package, call, check, worker.url, worker.name) for package, call, check in checks]
