"""Heads of the networks that transformers has no code for."""

from torch import nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput, TokenClassifierOutput

from . import gte_new, jina_bert, nomic_published


def eps(config) -> float:
    return getattr(config, "layer_norm_eps", None) or config.layer_norm_epsilon


class Sequence(PreTrainedModel):
    """BERT's pooler, which the published networks have inside the encoder, and a linear layer."""

    def __init__(self, config):
        super().__init__(config)
        encoder = self.encoder_class(config)
        encoder.pooler = nn.Module()
        encoder.pooler.dense = nn.Linear(config.hidden_size, config.hidden_size)
        setattr(self, self.base_model_prefix, encoder)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask, **_):
        encoder = getattr(self, self.base_model_prefix)
        first = encoder(input_ids, attention_mask).last_hidden_state[:, 0]
        return SequenceClassifierOutput(logits=self.classifier(encoder.pooler.dense(first).tanh()))


class Tokens(PreTrainedModel):
    """A linear layer on each token."""

    def __init__(self, config):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask, **_):
        encoder = getattr(self, self.base_model_prefix)
        return TokenClassifierOutput(logits=self.classifier(encoder(input_ids, attention_mask).last_hidden_state))


class Vocabulary(PreTrainedModel):
    """A dense layer, an activation, a norm and a decoder; `parts` are their places."""

    def __init__(self, config):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        hidden, words = config.hidden_size, getattr(self, self.base_model_prefix).embeddings.word_embeddings.num_embeddings
        bias = self.bias(config)
        layers = {
            "dense": nn.Linear(hidden, hidden, bias=bias),
            "norm": nn.LayerNorm(hidden, eps=eps(config)),
            "decoder": nn.Linear(hidden, words, bias=bias),
        }
        for part, place in self.parts.items():
            *path, name = place.split(".")
            module = self
            for step in path:
                if not hasattr(module, step):
                    setattr(module, step, nn.Module())
                module = getattr(module, step)
            setattr(module, name, layers[part])
        self.post_init()

    def bias(self, config):
        return True

    def forward(self, input_ids, attention_mask, **_):
        dense, norm, decoder = (self.get_submodule(self.parts[part]) for part in ("dense", "norm", "decoder"))
        hidden = getattr(self, self.base_model_prefix)(input_ids, attention_mask).last_hidden_state
        return MaskedLMOutput(logits=decoder(norm(ACT2FN[self.activation(self.config)](dense(hidden)))))


class NewForSequenceClassification(Sequence):
    config_class, base_model_prefix, encoder_class = gte_new.NewConfig, "new", gte_new.NewModel


class NewForTokenClassification(Tokens):
    config_class, base_model_prefix, encoder_class = gte_new.NewConfig, "new", gte_new.NewModel


class NewForMaskedLM(Vocabulary):
    config_class, base_model_prefix, encoder_class = gte_new.NewConfig, "new", gte_new.NewModel
    parts = {"dense": "lm_head.dense", "norm": "lm_head.norm", "decoder": "lm_head.decoder"}

    def activation(self, config):
        return config.hidden_act


BERT_PARTS = {
    "dense": "cls.predictions.transform.dense", "norm": "cls.predictions.transform.LayerNorm", "decoder": "cls.predictions.decoder",
}


class NomicBertForSequenceClassification(Sequence):
    config_class, base_model_prefix, encoder_class = nomic_published.NomicConfig, "bert", nomic_published.NomicBertModel


class NomicBertForTokenClassification(Tokens):
    config_class, base_model_prefix, encoder_class = nomic_published.NomicConfig, "bert", nomic_published.NomicBertModel


class NomicBertForMaskedLM(Vocabulary):
    config_class, base_model_prefix, encoder_class = nomic_published.NomicConfig, "bert", nomic_published.NomicBertModel
    parts = BERT_PARTS | {"norm": "cls.predictions.transform.layer_norm"}

    def bias(self, config):
        return config.mlp_fc1_bias

    def activation(self, config):
        return "silu" if config.activation_function == "swiglu" else "gelu"


class JinaBertForSequenceClassification(Sequence):
    config_class, base_model_prefix, encoder_class = jina_bert.JinaBertConfig, "bert", jina_bert.JinaBertModel


class JinaBertForTokenClassification(Tokens):
    config_class, base_model_prefix, encoder_class = jina_bert.JinaBertConfig, "bert", jina_bert.JinaBertModel


class JinaBertForMaskedLM(Vocabulary):
    config_class, base_model_prefix, encoder_class = jina_bert.JinaBertConfig, "bert", jina_bert.JinaBertModel
    parts = BERT_PARTS

    def activation(self, config):
        return config.hidden_act
