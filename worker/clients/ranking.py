"""Clients of rerankers and classifiers, whose scores must be those of a plain request."""
import asyncio

import requests

QUERY = "When does the bell ring?"
DOCUMENTS = ["At noon.", "Paris is a city.", "The bell rings at six and at noon.", "hello"]


def plain(url):
    answer = requests.post(f"{url}/rerank", json={"query": QUERY, "texts": DOCUMENTS})
    answer.raise_for_status()
    return [(rank["index"], rank["score"]) for rank in answer.json()]


def same(url, ranks, most=len(DOCUMENTS)):
    wanted = plain(url)[:most]
    assert [index for index, _ in ranks] == [index for index, _ in wanted], (ranks, wanted)
    assert all(abs(one - two) < 1e-5 for (_, one), (_, two) in zip(ranks, wanted)), (ranks, wanted)
    return f"{len(ranks)} ranks, equal scores"


def of_cohere(url, answer, most=len(DOCUMENTS)):
    assert answer.id, "no id"
    return same(url, [(row.index, row.relevance_score) for row in answer.results], most)


def cohere_v2(url, name):
    import cohere
    client = cohere.ClientV2(base_url=url, api_key="unused")
    of_cohere(url, client.rerank(model=name, query=QUERY, documents=DOCUMENTS, top_n=2), 2)
    return of_cohere(url, client.rerank(model=name, query=QUERY, documents=DOCUMENTS))


def cohere_async(url, name):
    import cohere

    async def ask():
        client = cohere.AsyncClientV2(base_url=url, api_key="unused")
        return await client.rerank(model=name, query=QUERY, documents=DOCUMENTS)

    return of_cohere(url, asyncio.run(ask()))


def cohere_v1(url, name):
    import cohere
    client = cohere.Client(base_url=url, api_key="unused")
    answer = client.rerank(model=name, query=QUERY, documents=DOCUMENTS, return_documents=True)
    assert answer.results[0].document.text == DOCUMENTS[answer.results[0].index]
    return of_cohere(url, answer)


def infinity(url, name):
    from infinity_client import Client
    from infinity_client.api.default import rerank
    from infinity_client.models import RerankInput
    body = RerankInput(query=QUERY, documents=DOCUMENTS, model=name, return_documents=True)
    answer = rerank.sync(client=Client(base_url=url), body=body)
    # Jina's and vLLM's form; this client passes on what comes.
    assert answer.results[0].document["text"] == DOCUMENTS[answer.results[0].index], answer.results[0]
    return same(url, [(row.index, row.relevance_score) for row in answer.results])


def hub_classify(url, _):
    from huggingface_hub import InferenceClient
    client = InferenceClient(model=url)
    got = [(row.label, row.score) for row in client.text_classification(QUERY)]
    wanted = [(row["label"], row["score"]) for row in requests.post(f"{url}/predict", json={"inputs": QUERY}).json()]
    assert [label for label, _ in got] == [label for label, _ in wanted], (got, wanted)
    assert all(abs(one - two) < 1e-5 for (_, one), (_, two) in zip(got, wanted))
    assert len(client.text_classification(QUERY, top_k=2)) == 2
    sigmoid = client.text_classification(QUERY, function_to_apply="sigmoid")
    assert abs(sum(row.score for row in sigmoid) - 1) > 1e-3, "that is a softmax"
    return f"{len(got)} labels, equal scores"


def hub_tokens(url, _):
    from huggingface_hub import InferenceClient
    client, text = InferenceClient(model=url), DOCUMENTS[2]
    plain = requests.post(f"{url}/predict", json={"inputs": text, "parameters": {"ignore_labels": []}}).json()
    got = client.token_classification(text, ignore_labels=[])
    assert [(row.entity, row.word, row.start, row.end) for row in got] == [
        (row["entity"], row["word"], row["start"], row["end"]) for row in plain
    ], (got, plain)
    assert all(abs(one.score - two["score"]) < 1e-5 for one, two in zip(got, plain))
    groups = client.token_classification(text, aggregation_strategy="first", ignore_labels=[])
    assert 0 < len(groups) <= len(got) and all(row.entity_group in ("O", "PER") for row in groups), groups
    assert (groups[0].start, groups[-1].end) == (0, len(text)), groups
    try:
        client.token_classification(text, stride=2, aggregation_strategy="simple")
    except Exception as error:
        assert "stride" in str(error), error
    else:
        raise AssertionError("stride was not refused")
    return f"{len(got)} tokens in {len(groups)} groups; stride is refused by name"


def rows(ranker, classifier, tagger):
    checks = [
        ("cohere", "ClientV2.rerank", cohere_v2, ranker),
        ("cohere", "AsyncClientV2.rerank", cohere_async, ranker),
        ("cohere", "Client.rerank (v1)", cohere_v1, ranker),
        ("infinity_client", "rerank", infinity, ranker),
        ("huggingface_hub", "InferenceClient.text_classification", hub_classify, classifier),
        ("huggingface_hub", "InferenceClient.token_classification", hub_tokens, tagger),
    ]
    return [(package, call, check, worker.url, worker.name) for package, call, check, worker in checks]
