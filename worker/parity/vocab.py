"""Small tokenizers of each kind, trained on the sentences of the reference, with settings drawn at random."""

import json
import pathlib
import random

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = json.loads((pathlib.Path(__file__).parent.parent / "tests/reference/sentences.json").read_text())

# The special tokens of each kind: padding, unknown, first, last, mask.
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


def train(tokenizer: Tokenizer, trainer) -> Tokenizer:
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def wordpiece(rng: random.Random, special=BERT, lower: bool | None = None) -> Tokenizer:
    """WordPiece; whether the file lower-cases is drawn, and need not agree with tokenizer_config.json."""
    lower = rng.random() < 0.6 if lower is None else lower
    tokenizer = Tokenizer(models.WordPiece(unk_token=special[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lower, strip_accents=rng.choice([None, True, False]), handle_chinese_chars=rng.random() < 0.8
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=320, special_tokens=list(special), show_progress=False))
    first, last = special[2], special[3]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first}:0 $A:0 {last}:0",
        pair=f"{first}:0 $A:0 {last}:0 $B:1 {last}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer


def byte_level(rng: random.Random, special=ROBERTA, prefix_space: bool | None = None) -> Tokenizer:
    """Byte-level BPE as RoBERTa has it."""
    prefix_space = rng.random() < 0.3 if prefix_space is None else prefix_space
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    order = [special[2], special[0], special[3], special[1]]
    train(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=order,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([AddedToken(special[4], lstrip=True)])
    ids = [(special[3], tokenizer.token_to_id(special[3])), (special[2], tokenizer.token_to_id(special[2]))]
    tokenizer.post_processor = processors.RobertaProcessing(*ids, True, prefix_space)
    return tokenizer


def unigram(rng: random.Random, special=ROBERTA) -> Tokenizer:
    """Unigram behind Metaspace, as XLM-RoBERTa has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()]) if rng.random() < 0.3 else None
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    order = [special[2], special[0], special[3], special[1]]
    train(
        tokenizer,
        trainers.UnigramTrainer(vocab_size=700, special_tokens=order, unk_token=special[1], show_progress=False),
    )
    tokenizer.add_special_tokens([AddedToken(special[4], lstrip=True)])
    first, last = special[2], special[3]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer
