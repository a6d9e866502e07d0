"""Model folders of standard architectures with tiny random weights, made as an operator would."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    BertConfig,
    BertForSequenceClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from inference_worker.training.packaging import seal
from inference_worker.types import SAMPLE_RATE

SPREAD = {"initializer_range": 0.6}
"""Random weights far larger than usual, so that different inputs get clearly different logits."""
THREE = ("authentic", "synthetic_speech", "unclear")
SENTENCES = [
    "the vote was counted this morning and people waited in the hall",
    "you are a stupid liar and your family should leave this country",
    "habari za asubuhi ndugu zangu mkutano utaanza saa nne",
    "nyinyi ni takataka tutawafukuza hapa",
    "we will publish the results of every station on friday",
]


def recorded(path: Path, samples: np.ndarray) -> Path:
    """Write sound at SAMPLE_RATE, 16 bits; return the path."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32_000).astype("<i2").tobytes())
    return path


def sealed(folder: Path, task: str, labels: tuple[str, ...], **stated: Any) -> Path:
    """Write the model card and kilinda.json; return the folder."""
    (folder / "model-card.md").write_text("Random weights, for tests.\n")
    seal(
        folder,
        {
            "name": folder.name,
            "version": "0.1",
            "task": task,
            "labels": list(labels),
            "calibration": {"slope": 1.0, "offset": 0.0},
            "threshold": 0.5,
            "metrics": {},
            "training": {},
            **stated,
        },
    )
    return folder


# --- Speech --------------------------------------------------------------------------------------


def wav2vec2_by_layer(folder: Path, **extractor: Any) -> Path:
    """A large wav2vec2 in small: frames normalised one by one, batches with an attention mask."""
    return _wav2vec2(folder, {"feat_extract_norm": "layer", "conv_bias": True}, extractor)


def wav2vec2_by_group(folder: Path) -> Path:
    """A base wav2vec2 in small: normalised over time, so that filling up would change scores."""
    return _wav2vec2(folder, {"feat_extract_norm": "group", "conv_bias": False}, {})


def _wav2vec2(folder: Path, settings: dict[str, Any], extractor: dict[str, Any]) -> Path:
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8, 8),
        conv_stride=(10, 8, 4),
        conv_kernel=(10, 8, 4),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        num_labels=3,
        **settings,
        **SPREAD,
    )
    _saved(folder, Wav2Vec2ForSequenceClassification, config)
    masks = settings["feat_extract_norm"] == "layer"
    Wav2Vec2FeatureExtractor(
        return_attention_mask=masks, do_normalize=True, **extractor
    ).save_pretrained(folder)
    return _sealed_speech(folder)


def ast(folder: Path) -> Path:
    """An audio spectrogram transformer that takes 2.56 s."""
    config = ASTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_length=256,
        num_mel_bins=32,
        num_labels=3,
        **SPREAD,
    )
    _saved(folder, ASTForAudioClassification, config)
    ASTFeatureExtractor(max_length=256, num_mel_bins=32).save_pretrained(folder)
    return _sealed_speech(folder)


def _sealed_speech(folder: Path) -> Path:
    return sealed(
        folder,
        "synthetic_speech",
        THREE,
        modality="audio",
        detector="speech",
        gates={
            "least_seconds": 1.0,
            "least_level_dbfs": -50.0,
            "least_voiced_seconds": 0.2,
            "least_liveliness_db": 0.0,
        },
    )


# --- Pictures ------------------------------------------------------------------------------------


def vit(folder: Path, **processor: Any) -> Path:
    """A ViT on 32 x 32 pixels."""
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        **SPREAD,
    )
    _saved(folder, ViTForImageClassification, config)
    size = {"height": 32, "width": 32}
    ViTImageProcessorPil(**{"size": size, **processor}).save_pretrained(folder)
    return seal_picture(folder)


def swin(folder: Path) -> Path:
    """A Swin transformer on 32 x 32 pixels."""
    config = SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=4,
        **SPREAD,
    )
    _saved(folder, SwinForImageClassification, config)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return seal_picture(folder)


def convnext(folder: Path) -> Path:
    """A ConvNeXt whose processor keeps the centre of the picture."""
    config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, **SPREAD)
    _saved(folder, ConvNextForImageClassification, config)
    ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder)
    return seal_picture(folder)


def resnet(folder: Path) -> Path:
    """A ResNet whose processor keeps the shape of the picture, so that batches have several."""
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=2
    )
    _saved(folder, ResNetForImageClassification, config)
    ViTImageProcessorPil(size={"shortest_edge": 32}, default_to_square=False).save_pretrained(
        folder
    )
    return seal_picture(folder)


def seal_picture(folder: Path) -> Path:
    """Seal the folder of a picture model, again if need be."""
    return sealed(
        folder,
        "synthetic_image",
        ("authentic", "synthetic_image"),
        modality="image",
        detector="image",
        gates={"least_side_pixels": 32, "least_contrast": 2.0},
    )


# --- Text ----------------------------------------------------------------------------------------


def bert(folder: Path) -> Path:
    """A BERT with word pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_max_length=64,
    )
    config = BertConfig(
        vocab_size=len(fast),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=3,
        **SPREAD,
    )
    return _sealed_text(folder, BertForSequenceClassification, config, fast)


def xlm_r(folder: Path) -> Path:
    """An XLM-RoBERTa with a unigram vocabulary, as sentencepiece makes it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>"),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
    )
    config = XLMRobertaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=514,
        pad_token_id=1,
        num_labels=3,
        **SPREAD,
    )
    return _sealed_text(folder, XLMRobertaForSequenceClassification, config, fast)


def _sealed_text(folder: Path, model: Any, config: Any, tokenizer: Any) -> Path:
    _saved(folder, model, config)
    tokenizer.save_pretrained(folder)
    return sealed(
        folder,
        "abuse",
        ("normal", "abuse", "threat"),
        modality="text",
        detector="text",
        gates={"min_letters": 3, "max_characters": 20_000},
    )


def _saved(folder: Path, model: Any, config: Any) -> None:
    torch.manual_seed(7)
    model(config).save_pretrained(folder)


SPEECH: tuple[Callable[[Path], Path], ...] = (wav2vec2_by_layer, wav2vec2_by_group, ast)
PICTURE: tuple[Callable[[Path], Path], ...] = (vit, swin, convnext, resnet)
TEXT: tuple[Callable[[Path], Path], ...] = (bert, xlm_r)
