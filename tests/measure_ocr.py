"""How well text in pictures is noticed, read and put in order, on drawn ones whose text is known.

    python -m tests.measure_ocr --photos DIR

DIR holds manifest.csv (columns file, label) and pictures; rows labelled real are the photos.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from inference_worker.ocr import pages
from inference_worker.ocr.reader import TextReader, text_reader
from inference_worker.types import Picture
from tests.screenshots import BOLD, DARK, ETHIOPIC, FONTS, LIGHT, chat, meme

EACH = 40
PHOTOS = 600

ENGLISH = """Did you see the results from ward seven?
Yes. They say the counting was stopped twice.
Nobody from the commission has come yet.
We will wait outside until they open the gate.
Please stop sending this to me.
The queue is long but everyone is calm.
Who told you that the boxes were moved at night?
I have pictures of the forms, all signed.
Go back to where you came from, all of you.
Call me when you get to the polling station.
They promised water and roads five years ago.
My brother is an observer, he saw everything.
Do not share this before it has been checked.
Tomorrow we vote, then we go home.""".splitlines()
SWAHILI = """Kesho twende kituo cha kupigia kura mapema asubuhi.
Hawa watu hawafai kuishi hapa, waondoke leo.
Matokeo ya kata yetu bado hayajatangazwa.
Tafadhali usisambaze habari ambazo hujathibitisha.
Foleni ni ndefu lakini kila mtu ametulia.
Nani amekuambia masanduku yalihamishwa usiku?
Tutakutana shuleni saa mbili kamili.
Walituahidi maji na barabara miaka mitano iliyopita.
Ndugu yangu ni mwangalizi, ameona kila kitu.
Piga simu ukifika nyumbani salama.""".splitlines()
AMHARIC = """ሰላም ነው እንዴት ነህ ዛሬ
ነገ ወደ ምርጫ ጣቢያ እንሄዳለን
ውጤቱ ገና አልተነገረም
እባክህ ይህን መልእክት አታሰራጭ
ሁሉም ሰው በሰላም እየጠበቀ ነው""".splitlines()

Drawn = tuple[Image.Image, list[str]]


def chats(said: list[str], chance: random.Random, **options: object) -> Iterator[Drawn]:
    """Yield screens of one to six messages, in many sizes."""
    for _ in range(EACH):
        messages = chance.sample(said, min(len(said), chance.randint(1, 6)))
        width = chance.choice([480, 720, 1080])
        size = round(width * chance.choice([0.036, 0.042, 0.048]))
        face = options.get("face") or chance.choice(FONTS)
        sender = chance.choice(["", "+254 712 345 678"])
        theme = chance.choice([LIGHT, DARK])
        yield (
            chat(messages, theme=theme, width=width, size=size, face=face, sender=sender),
            messages,
        )


def memes(photos: list[Path], chance: random.Random) -> Iterator[Drawn]:
    """Yield two captions of a meme on real photos, enlarged to the size of what is shared."""
    for path in photos[:EACH]:
        top, bottom = (each[:38].rsplit(" ", 1)[0] for each in chance.sample(ENGLISH + SWAHILI, 2))
        behind = Image.open(path).convert("RGB").resize((720, 720), Image.Resampling.BICUBIC)
        yield meme(top, bottom, behind=behind), [top.upper(), bottom.upper()]


def damaged(drawn: Iterator[Drawn], chance: random.Random) -> Iterator[Drawn]:
    """Yield pictures as a messenger sends them on: smaller, and compressed hard."""
    for number, (image, said) in enumerate(drawn):
        smaller = image.resize(tuple(round(side * 0.75) for side in image.size))
        path = Path(f"/tmp/kilinda-ocr-{number}.jpg")
        smaller.save(path, "JPEG", quality=chance.choice([30, 45, 60]))
        yield Image.open(path).convert("RGB"), said
        path.unlink()


def picture(image: Image.Image) -> Picture:
    """Return the picture as decoding would."""
    pixels = np.asarray(image.convert("RGB"))
    return Picture(pixels, pixels.shape[1], pixels.shape[0])


def edits(read: str, said: str) -> int:
    """Return the Levenshtein distance."""
    before = list(range(len(said) + 1))
    for place, letter in enumerate(read, 1):
        row = [place]
        for other, wanted in enumerate(said, 1):
            row.append(min(before[other] + 1, row[-1] + 1, before[other - 1] + (letter != wanted)))
        before = row
    return before[-1]


def error_rate(read: list[str], said: list[str]) -> float:
    """Return the share of letters that are wrong, each message against the line most like it."""
    wrong = sum(min((edits(line, each) for line in read), default=len(each)) for each in said)
    return min(1.0, wrong / sum(map(len, said)))


def measure(reader: TextReader, drawn: Iterator[Drawn]) -> str:
    """Return the cells of one kind of picture."""
    noticed, rates, whole, messages = 0, [], 0, 0
    for image, said in drawn:
        shown = picture(image)
        noticed += pages.may_have_text(shown.pixels)
        read = reader.read(shown).text.splitlines()
        rates.append(error_rate(read, said))
        messages, whole = messages + len(said), whole + sum(each in read for each in said)
    return (
        f"{len(rates)} | {noticed / len(rates):.0%} | {statistics.mean(rates):.1%} | "
        f"{statistics.median(rates):.1%} | {whole / messages:.0%} of {messages}"
    )


def false_alarms(reader: TextReader, photos: list[Path]) -> str:
    """Return what happens on photos nobody drew on."""
    noticed = [path for path in photos if pages.may_have_text(picture(Image.open(path)).pixels)]
    read = [path for path in noticed if reader.read(picture(Image.open(path))).text]
    shares = [f"{len(found)} ({len(found) / len(photos):.1%})" for found in (noticed, read)]
    return (
        f"Of {len(photos)} real photos {shares[0]} were given to tesseract and {shares[1]} gave "
        "text; some of them show writing."
    )


def main() -> None:
    """Print the figures as a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    folder = parser.parse_args().photos
    with (folder / "manifest.csv").open() as manifest:
        real = [folder / row["file"] for row in csv.DictReader(manifest) if row["label"] == "real"]
    random.Random(1).shuffle(real)
    reader = text_reader()
    assert reader, "tesseract is needed"
    assert BOLD in BOLD.parent.iterdir(), "the DejaVu fonts are needed"
    kinds: dict[str, Callable[[random.Random], Iterator[Drawn]]] = {
        "chat, English": lambda chance: chats(ENGLISH, chance),
        "chat, Swahili": lambda chance: chats(SWAHILI, chance),
        "chat, English, sent on as a smaller JPEG": lambda chance: damaged(
            chats(ENGLISH, chance), chance
        ),
        "meme on a photo": lambda chance: memes(real, chance),
        "meme, sent on as a smaller JPEG": lambda chance: damaged(memes(real, chance), chance),
    }
    if ETHIOPIC.exists():
        kinds["chat, Amharic"] = lambda chance: chats(AMHARIC, chance, face=ETHIOPIC)
    print(f"Read by {reader.version}.\n")
    print("| drawn | n | noticed | wrong letters, mean | median | messages word for word |")
    print("|---|---|---|---|---|---|")
    for name, draw in kinds.items():
        print(f"| {name} | {measure(reader, draw(random.Random(0)))} |", flush=True)
    print(f"\n{false_alarms(reader, real[EACH : EACH + PHOTOS])}")


if __name__ == "__main__":
    main()
