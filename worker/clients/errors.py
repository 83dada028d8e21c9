"""What each client shows its user when the worker refuses: the reason must be in it."""
import requests

LONG = "bell " * 2000


def shown(says, kind, call):
    """Asserts that a call fails with an error of this name that says this."""
    try:
        call()
    except Exception as error:
        text = f"{error} {getattr(error, 'body', '')}"
        # huggingface_hub and requests leave the body beside the message.
        response = getattr(error, "response", None)
        text += getattr(response, "text", "") if response is not None else ""
        assert type(error).__name__ == kind, f"{type(error).__name__}, and not {kind}: {error}"
        assert says in text, f"{says!r} is not in: {text}"
        return f"{kind}: … {says} …"
    raise AssertionError("it was answered")


def of_openai(url, key="unused", **more):
    from openai import OpenAI
    client = OpenAI(base_url=f"{url}/v1", api_key=key, **more)
    return lambda model, texts: client.embeddings.create(model=model, input=texts)


def of_langchain(url, name):
    from langchain_openai import OpenAIEmbeddings
    options = {"base_url": f"{url}/v1", "api_key": "unused", "check_embedding_ctx_length": False}
    return OpenAIEmbeddings(model=name, **options).embed_documents


def of_llama(url, name):
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    client = OpenAILikeEmbedding(model_name=name, api_base=f"{url}/v1", api_key="unused", max_retries=0)
    return client.get_text_embedding


def of_hub(url, **more):
    from huggingface_hub import InferenceClient
    return InferenceClient(model=url, **more).feature_extraction


def of_endpoint(url):
    from embedding import endpoint
    return endpoint(url).embed_documents


def of_cohere(url, key="unused"):
    import cohere
    return cohere.ClientV2(base_url=url, api_key=key).rerank


def of_infinity(url, texts, name):
    from infinity_client import Client
    from infinity_client.api.default import embeddings
    from infinity_client.models import OpenAIEmbeddingInputText
    body = OpenAIEmbeddingInputText.from_dict({"input": texts, "model": name})
    return embeddings.sync(client=Client(base_url=url, raise_on_unexpected_status=True), body=body)


def of_sie(url, key=None):
    from sie_sdk import SIEClient
    return SIEClient(url, api_key=key)


def of_requests(url, body):
    requests.post(f"{url}/embed", json=body).raise_for_status()


def rows(dense, ranker):
    url, name, ranks = dense.url, dense.name, ranker.url
    ask, hub = of_openai(url), of_hub(url)
    other, long, empty = "serves minilm", "the model takes at most", "is empty"
    table = [
        ("openai", "another model", other, "NotFoundError", lambda: ask("gpt", "a")),
        ("openai", "a text too long", long, "BadRequestError", lambda: ask(name, ["a", LONG])),
        ("openai", "an empty text", empty, "BadRequestError", lambda: ask(name, [""])),
        ("openai", "no text", empty, "BadRequestError", lambda: ask(name, [])),
        ("langchain-openai", "another model", other, "NotFoundError", lambda: of_langchain(url, "gpt")(["a"])),
        ("langchain-openai", "a text too long", long, "BadRequestError", lambda: of_langchain(url, name)([LONG])),
        ("langchain-openai", "an empty text", empty, "BadRequestError", lambda: of_langchain(url, name)([""])),
        ("llama-index-embeddings-openai-like", "another model", other, "NotFoundError", lambda: of_llama(url, "gpt")("a")),
        ("llama-index-embeddings-openai-like", "a text too long", long, "BadRequestError", lambda: of_llama(url, name)(LONG)),
        ("huggingface_hub", "a text too long", long, "HfHubHTTPError", lambda: hub(LONG)),
        ("huggingface_hub", "an empty text", empty, "BadRequestError", lambda: hub("")),
        ("huggingface_hub", "an unknown prompt", "prompt", "BadRequestError", lambda: hub("a", prompt_name="q")),
        ("langchain-huggingface", "a text too long", long, "HfHubHTTPError", lambda: of_endpoint(url)([LONG])),
        ("cohere", "another model", "serves ranker", "NotFoundError",
         lambda: of_cohere(ranks)(model="x", query="a", documents=["b"])),
        ("cohere", "no documents", empty, "BadRequestError",
         lambda: of_cohere(ranks)(model="ranker", query="a", documents=[])),
        ("cohere", "a model that has no scores", "has only: dense", "BadRequestError",
         lambda: of_cohere(url)(model=name, query="a", documents=["b"])),
        ("infinity_client", "another model", other, "UnexpectedStatus", lambda: of_infinity(url, ["a"], "gpt")),
        ("infinity_client", "a text too long", long, "UnexpectedStatus", lambda: of_infinity(url, [LONG], name)),
        ("requests", "a text too long", long, "HTTPError", lambda: of_requests(url, {"inputs": LONG})),
        ("sie-sdk", "another model", other, "RequestError", lambda: of_sie(url).encode("gpt", {"text": "a"})),
        ("sie-sdk", "a text too long", long, "InputTooLongError", lambda: of_sie(url).encode(name, {"text": LONG})),
        ("sie-sdk", "an empty text", empty, "RequestError", lambda: of_sie(url).encode(name, {"text": ""})),
        ("sie-sdk", "no text", empty, "RequestError", lambda: of_sie(url).encode(name, [])),
        ("sie-sdk", "an output that the model has not", "this model has: dense", "RequestError",
         lambda: of_sie(url).encode(name, {"text": "a"}, output_types=["sparse"])),
        ("sie-sdk", "an option that is not there", "takes is_query", "RequestError",
         lambda: of_sie(url).encode(name, {"text": "a"}, options={"muvera": {}})),
        ("sie-sdk", "a model that has no scores", "has only: dense", "RequestError",
         lambda: of_sie(url).score(name, {"text": "a"}, [{"text": "b"}])),
    ]
    return [(package, f"error: {call}", shown, says, kind, ask) for package, call, says, kind, ask in table]


def draining(worker):
    url, name, says = worker.url, worker.name, "shutting down"
    ask = of_openai(url, max_retries=0)
    table = [
        ("openai", "InternalServerError", lambda: ask(name, "a")),
        ("huggingface_hub", "HfHubHTTPError", lambda: of_hub(url)("a")),
        ("cohere", "ServiceUnavailableError", lambda: of_cohere(url)(model=name, query="a", documents=["b"])),
        ("infinity_client", "UnexpectedStatus", lambda: of_infinity(url, ["a"], name)),
        ("requests", "HTTPError", lambda: of_requests(url, {"inputs": "a"})),
    ]
    # It asks again until its time is over: another worker may answer.
    patient = lambda: of_sie(url).encode(name, {"text": "a"}, provision_timeout_s=2)
    return [(package, "error: a worker that ends (503)", shown, says, kind, ask) for package, kind, ask in table] + [
        ("sie-sdk", "error: a worker that ends (503), for 2 s", shown, "timeout after 2", "ModelLoadingError", patient)
    ]


def keys(worker, key):
    from embedding import TEXTS
    url, name, says = worker.url, worker.name, "key"

    def taken(call):
        call()
        return "answered"

    good = [
        ("openai", lambda: of_openai(url, key)(name, TEXTS)),
        ("huggingface_hub", lambda: of_hub(url, token=key)(TEXTS)),
        ("sie-sdk", lambda: of_sie(url, key).encode(name, [{"text": text} for text in TEXTS])),
    ]
    bad = [
        ("openai", "AuthenticationError", lambda: of_openai(url)(name, "a")),
        ("huggingface_hub", "HfHubHTTPError", lambda: of_hub(url, token="sk-wrong")("a")),
        ("cohere", "UnauthorizedError", lambda: of_cohere(url)(model=name, query="a", documents=["b"])),
        ("requests", "HTTPError", lambda: of_requests(url, {"inputs": "a"})),
        ("sie-sdk", "RequestError", lambda: of_sie(url).encode(name, {"text": "a"})),
    ]
    return [(package, "the right API key", taken, ask) for package, ask in good] + [
        (package, "error: a wrong API key", shown, says, kind, ask) for package, kind, ask in bad
    ]
