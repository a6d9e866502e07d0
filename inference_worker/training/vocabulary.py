"""Fits a general English encoder to our texts: its rare words go, Swahili and Amharic ones come.

A new word of known meaning starts as the mean of the old pieces of its English translation; another
one in Latin script, of those it was spelled with; one the old vocabulary could not spell (Ethiopic
script) starts at random, at the scale of the old ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MEANT = 4
"""Letters of a word from which its Swahili meaning outweighs an English piece spelt alike."""
LONGEST_WINDOW = 128
"""Tokens of one window, [CLS] and [SEP] included; longer positions are dropped."""


def load_old(encoder: Path) -> Tokenizer:
    """Return the encoder's own tokenizer, without padding or truncation."""
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def choose(
    old: Tokenizer,
    known: Sequence[str],
    foreign: Sequence[tuple[Sequence[str], int]],
    wanted: Iterable[str],
    size: int,
) -> list[str]:
    """Return about `size` tokens, special ones first.

    `known` are texts in languages the old vocabulary speaks; each of `foreign` is texts and how
    many new tokens they may train; `wanted` are words that must be there. Every ASCII piece stays,
    so that any Latin word can be spelled.
    """
    letters = [t for t in old.get_vocab() if len(t.removeprefix("##")) == 1 and t.isascii()]
    whole = (word for word in wanted if word.isalpha())
    chosen = dict.fromkeys((*SPECIAL, *sorted(letters), *whole))
    for texts, count in foreign:
        chosen.update(dict.fromkeys(_new_words(texts, count)))
    used = Counter(chain.from_iterable(e.tokens for e in old.encode_batch(list(known))))
    for token, _ in used.most_common():
        if len(chosen) >= size:
            break
        chosen.setdefault(token)
    return list(chosen)


def _new_words(texts: Iterable[str], count: int) -> list[str]:
    """Train WordPiece tokens on `texts`."""
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token, no secret
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=count, min_frequency=3, limit_alphabet=400, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    return [token for token, _ in sorted(learner.get_vocab().items(), key=lambda item: item[1])]


def rebuild(old: Tokenizer, tokens: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return the old tokenizer with `tokens` as its vocabulary."""
    stated = json.loads(old.to_str())
    stated["model"]["vocab"] = {token: place for place, token in enumerate(tokens)}
    stated["added_tokens"] = [
        {**added, "id": tokens.index(added["content"])}
        for added in stated["added_tokens"]
        if added["content"] in SPECIAL
    ]
    for token in stated["post_processor"].get("special_tokens", {}).values():
        token["ids"] = [tokens.index(name) for name in token["tokens"]]
    for side in ("sep", "cls"):
        if side in stated["post_processor"]:
            name = stated["post_processor"][side][0]
            stated["post_processor"][side] = [name, tokens.index(name)]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(stated)),
        model_max_length=LONGEST_WINDOW,
        pad_token="[PAD]",  # noqa: S106 - a token, no secret
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
    )


def transplant(
    encoder: Path,
    tokens: Sequence[str],
    meanings: Mapping[str, Sequence[str]],
    layers: int,
    labels: Sequence[str],
) -> BertForSequenceClassification:
    """Return a classifier with the encoder's first `layers` layers and our vocabulary.

    A new word of which `meanings` knows the English starts with its meaning.
    Dropping the top layers costs least when fine-tuning follows (Sajjad et al. 2020, "Poor man's
    BERT").
    """
    config = BertConfig.from_pretrained(
        encoder, id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)}
    )
    config.num_hidden_layers = layers
    model = BertForSequenceClassification.from_pretrained(
        encoder, config=config, attn_implementation="eager"
    )
    embeddings = model.bert.embeddings
    table = _embeddings(
        load_old(encoder), tokens, meanings, embeddings.word_embeddings.weight.detach()
    )
    embeddings.word_embeddings = torch.nn.Embedding(
        len(table), table.shape[1], padding_idx=0, _weight=table
    )
    places = embeddings.position_embeddings.weight.detach()[:LONGEST_WINDOW].clone()
    embeddings.position_embeddings = torch.nn.Embedding(
        len(places), places.shape[1], _weight=places
    )
    embeddings.register_buffer("position_ids", torch.arange(LONGEST_WINDOW)[None], persistent=False)
    embeddings.register_buffer(
        "token_type_ids", torch.zeros(1, LONGEST_WINDOW, dtype=torch.long), persistent=False
    )
    model.config.vocab_size, model.config.max_position_embeddings = len(tokens), LONGEST_WINDOW
    model.config.pad_token_id = 0
    return model


def _embeddings(
    old: Tokenizer,
    tokens: Sequence[str],
    meanings: Mapping[str, Sequence[str]],
    table: torch.Tensor,
) -> torch.Tensor:
    """Return the starting embedding of every token, shape (len(tokens), hidden)."""
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(len(tokens), table.shape[1], generator=chance)
    fresh = table.mean(0) + noise * table.std(0)
    for place, token in enumerate(tokens):
        if pieces := _like(token, old, meanings):
            fresh[place] = table[pieces].mean(0)
    return fresh


def _like(token: str, old: Tokenizer, meanings: Mapping[str, Sequence[str]]) -> list[int]:
    """Return the old pieces a token starts from: its own, its meaning's, or its spelling's."""
    kept = old.token_to_id(token)
    if kept is not None and (token not in meanings or len(token) < MEANT):
        return [kept]
    spelt = " ".join(meanings.get(token, [token.removeprefix("##")]))
    pieces: list[int] = old.encode(spelt, add_special_tokens=False).ids
    return [] if old.token_to_id("[UNK]") in pieces else pieces
