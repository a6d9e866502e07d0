"""The model card of the machine-text detector; its figures are filled in from measurements."""

CARD = """# machine-text {version}

Says how likely it is that a chat model (of the kind of ChatGPT) wrote an English text. It is a
finding of its own and feeds no score: who wrote a text says nothing about whether it is true or
harmful. A person wrongly accused is worse than a machine missed, so the threshold ({threshold}) is
high and much machine text stays below it.

It looks at style only: rates of function words, rhythm of sentences, lengths of words, repetition,
punctuation; {statistics} numbers for each stretch of about 150 words, through a small network of
the ConvNeXt class over one pixel. Texts of fewer than {min_words} words and texts with less than
{least_function_words:.0%} English function words are declined; at most {max_characters} characters
are read. A text scores as the mean of its stretches.

## Measured on domains the measured model never saw

News (xsum), fiction (writing) and manuals (Python's language reference, by people only) were left
out one after another. Calibration and threshold were fitted on these same predictions; AUC was not.
The threshold is the lowest at which false alarms are at most 1 % in every domain and, were both
classes equally frequent, 95 % of what is called machine-written is. Lengths below {min_words} words
are declined by the detector; they are here to show why.

```
{domains}
```

False alarms at the threshold, of texts by people in a domain never seen:

{alarms}

Found at the threshold, in a domain never seen. Only gpt-3.5-turbo was learnt from; the others,
which continue a text without being told what to write, are not what this detector finds:

{found}

## Known weaknesses

- Chat models are known from 300 texts of one of them (gpt-3.5-turbo, 2023): newer ones write
  differently, and how well they are found is unknown.
- Text of base models (GPT-2, GPT-J, ...) is not found; nor was text measured that a person edited,
  or that a model was told to write casually.
- Formal writing by people (laws, reports, translations, second-language English) looks more like a
  chat model than stories do. Of such writing only manuals were measured.
- English only; Nigerian Pidgin and other texts with many English function words pass the gate.

## Training data

- baoguangsheng/fast-detect-gpt (MIT): human and generated news and stories; pairs share a prefix.
- Python's language reference (PSF licence), as it comes with Python.
"""
