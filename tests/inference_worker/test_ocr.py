"""Text in pictures: what is worth reading, what tesseract reads, in which order it comes out."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_worker.looks import facts_of, look_at
from inference_worker.ocr import pages, reader, tesseract
from inference_worker.ocr.messages import messages, text_of
from inference_worker.ocr.reader import TextReader, text_reader
from inference_worker.ocr.tesseract import Tesseract, Unreadable, Word, installed
from inference_worker.types import Footage, Frame, Modality, Picture
from tests.inference_worker.toys import WordCounter, registry
from tests.screenshots import DARK, ETHIOPIC, FONTS, LIGHT, chat, meme, photo

DRAWN = pytest.mark.skipif(not FONTS, reason="DejaVu fonts are not installed")
READS = pytest.mark.skipif(installed() is None, reason="tesseract is not installed")

ENGLISH = [
    "Did you see the results from ward seven?",
    "Yes. They say the counting was stopped twice.",
    "We know where you live. Tell anyone and we will burn your house.",
    "Please stop sending this to me.",
]
SWAHILI = [
    "Kesho twende kituo cha kupigia kura mapema asubuhi.",
    "Hawa watu hawafai kuishi hapa, waondoke leo.",
]


def picture(image: Image.Image) -> Picture:
    pixels = np.asarray(image.convert("RGB"))
    return Picture(pixels, pixels.shape[1], pixels.shape[0])


@pytest.fixture
def read():
    found = text_reader()
    assert found is not None

    def read(image: Image.Image) -> Picture:
        return found.read(picture(image))

    return read


# Is there anything to read?


@DRAWN
@pytest.mark.parametrize(
    "image",
    [
        lambda: chat(ENGLISH),
        lambda: chat(ENGLISH[:1], theme=DARK),
        lambda: chat(SWAHILI, width=1080, size=38),
        lambda: meme("they count the votes", "you know who won"),
    ],
    ids=["chat", "dark chat", "large chat", "meme"],
)
def test_letters_in_rows_are_noticed(image):
    assert pages.may_have_text(picture(image()).pixels)


@pytest.mark.parametrize("seed", range(6))
def test_a_photo_is_not_read(seed):
    assert not pages.may_have_text(picture(photo(seed=seed)).pixels)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (7, 7)])
def test_tiny_pictures_have_nothing_to_read(size):
    assert not pages.may_have_text(picture(Image.new("RGB", size, "white")).pixels)


# Reading


@READS
@DRAWN
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("face", FONTS, ids=lambda path: path.stem)
def test_each_message_of_a_chat_is_a_line_without_clocks_ticks_and_status_bar(read, theme, face):
    seen = read(chat(ENGLISH, theme=theme, face=face))
    assert seen.text.splitlines()[-4:] == ENGLISH
    assert "10:1" not in seen.text
    assert "83%" not in seen.text


@READS
@DRAWN
def test_telephone_numbers_of_senders_are_not_part_of_their_messages(read):
    assert "712" not in read(chat(ENGLISH, theme=DARK, sender="+254 712 345 678")).text


@READS
@DRAWN
def test_swahili_is_read(read):
    assert read(chat(SWAHILI)).text.splitlines()[-2:] == SWAHILI


@READS
@DRAWN
@pytest.mark.skipif(
    not ETHIOPIC.exists() or "amh" not in (installed().languages if installed() else ()),
    reason="tesseract's Amharic or a font with Ethiopic letters is not installed",
)
def test_amharic_is_read_where_latin_makes_no_sense(read):
    seen = read(chat(["ሰላም ነው እንዴት ነህ ዛሬ", "ነገ ወደ ምርጫ ጣቢያ እንሄዳለን"], face=ETHIOPIC))
    assert "እንዴት ነህ" in seen.text
    assert "ምርጫ ጣቢያ" in seen.text


@READS
@DRAWN
def test_white_capitals_on_a_photo_are_read(read):
    seen = read(meme("when they count the votes", "but you already know who won"))
    assert seen.text.splitlines() == ["WHEN THEY COUNT THE VOTES", "BUT YOU ALREADY KNOW WHO WON"]


@READS
@DRAWN
def test_words_say_where_they_stand(read):
    seen = read(chat(ENGLISH[:1]))
    word = next(word for word in seen.words if word.text == "results")
    assert 0.2 < word.left < word.right < 0.5
    assert 0.1 < word.top < word.bottom < 0.16
    assert word.confidence > 0.8


@READS
def test_a_picture_that_merely_looks_like_text_gives_nothing(read):
    generator = np.random.default_rng(0)
    image = Image.new("L", (640, 480), 255)
    for row in range(8):  # rows of blots of one height, which are no letters
        for column in range(30):
            blot = Image.fromarray((generator.random((5, 3)) < 0.5).astype(np.uint8) * 255)
            image.paste(
                blot.resize((12, 20), Image.Resampling.NEAREST), (20 + column * 20, 20 + row * 55)
            )
    assert pages.may_have_text(picture(image).pixels)
    assert read(image).text == ""
    assert read(image).words == ()


@READS
@DRAWN
def test_three_frames_of_a_video_are_read_at_most(monkeypatch):
    read = []
    found = text_reader()
    monkeypatch.setattr(TextReader, "_words", lambda self, pixels: read.append(pixels) or [])
    frame = picture(chat(ENGLISH))
    frames = tuple(Frame(float(at), frame) for at in range(20))

    found.read(Footage(frames, None, 20.0, 720, 1440))

    assert len(read) == reader.MOST_FRAMES_READ == 3


@READS
@DRAWN
def test_a_caption_is_read_in_the_thirds_of_a_video_where_it_stands():
    written, blank = picture(chat(ENGLISH[:1])), picture(photo())
    frames = tuple(Frame(float(at), written if at == 7 else blank) for at in range(9))

    seen = text_reader().read(Footage(frames, None, 9.0, 720, 1440))

    assert [place for place, frame in enumerate(seen.frames) if frame.picture.text] == [7]


# The program


def script(folder: Path, body: str) -> Tesseract:
    """A program in tesseract's place."""
    path = folder / "tesseract"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    return Tesseract(str(path), "0", frozenset({"eng"}))


def test_a_program_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(tesseract, "TIMEOUT_SECONDS", 1.0)
    hanging = script(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(Unreadable, match="longer than 1 seconds"):
        hanging.words(np.zeros((10, 10), np.uint8), "eng")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
@pytest.mark.parametrize(
    "act", ["bytearray(3_000_000_000)", "open('/tmp/kilinda-ocr-test', 'w').write('x' * 9999)"]
)
def test_a_program_that_takes_too_much_is_ended(tmp_path, act):
    greedy = script(tmp_path, f"import sys; sys.stdin.buffer.read(); {act}")
    with pytest.raises(Unreadable):
        greedy.words(np.zeros((10, 10), np.uint8), "eng")


def test_a_page_larger_than_the_limit_is_refused(tmp_path):
    with pytest.raises(Unreadable, match="4,500,000 pixels"):
        script(tmp_path, "").words(np.zeros((3000, 3000), np.uint8), "eng")


@DRAWN
def test_a_program_that_fails_leaves_the_picture_as_it_was(tmp_path):
    shown = picture(chat(ENGLISH))
    assert TextReader(script(tmp_path, "raise SystemExit(1)")).read(shown) == shown
    gone = replace(script(tmp_path, ""), program=str(tmp_path / "gone"))
    assert TextReader(gone).read(shown) == shown


def test_without_the_program_nothing_is_read():
    code = "from inference_worker.ocr.reader import text_reader; print(text_reader())"
    found = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": "/nowhere"}, capture_output=True, text=True
    )
    assert found.stdout == "None\n"


# Order


def row(text: str, left: int, top: int, line: int, *, high: int = 20) -> list[Word]:
    words, at = [], left
    for word in text.split():
        words.append(Word(word, at, top, at + 12 * len(word), top + high, 0.95, (1, 1, line)))
        at += 12 * len(word) + 10
    return words


def lines(*rows: list[Word], size=(720, 1440)) -> list[str]:
    found = messages([word for each in rows for word in each], *size)
    return [text_of(message) for message in found]


def test_close_rows_that_begin_alike_are_one_message():
    shown = [row("first half", 40, 200, 1), row("second half", 40, 232, 2)]
    assert lines(*shown, row("another message", 40, 330, 3)) == [
        "first half second half",
        "another message",
    ]


def test_bubbles_on_both_sides_stay_apart():
    assert lines(row("theirs is here", 40, 200, 1), row("ours is there", 420, 228, 2)) == [
        "theirs is here",
        "ours is there",
    ]


def test_two_texts_on_one_line_are_two():
    assert lines(row("left", 40, 200, 1) + row("right", 500, 200, 1)) == ["left", "right"]


@pytest.mark.parametrize(
    "noise",
    ["10:42", "10:42 vv", "10:42 PM", "Today", "12 March 2027", "online", "last seen today at 9:10",
     "+254 712 345 678", "Message", "...", "Forwarded many times"],
)  # fmt: skip
def test_what_the_chat_wrote_itself_is_left_out(noise):
    assert lines(row(noise, 40, 400, 1), row("a real message", 40, 600, 2)) == ["a real message"]


def test_the_time_of_sending_is_cut_off_but_a_time_in_a_sentence_stays():
    sent = row("see you", 40, 400, 1) + row("10:42 vv", 300, 406, 1, high=12)
    assert lines(sent) == ["see you"]
    assert lines(row("we meet at 10:42", 40, 400, 1)) == ["we meet at 10:42"]


def test_the_status_bar_is_left_out_on_a_phone_only():
    bar = row("KENYA NET 83%", 40, 10, 1)
    assert lines(bar, row("a message", 40, 400, 2)) == ["a message"]
    assert lines(bar, row("a headline", 40, 400, 2), size=(1440, 720)) == [
        "KENYA NET 83%",
        "a headline",
    ]


def test_doubtful_words_are_left_out():
    doubtful = [replace(word, confidence=0.3) for word in row("texture", 40, 400, 1)]
    assert lines(doubtful, row("certain", 40, 600, 2)) == ["certain"]


# Into the text detectors


def test_one_bad_message_of_a_chat_counts_by_itself():
    shown = replace(picture(photo()), text="good day to you all\nbad bad bad bad\nfine by me")
    looks = look_at(shown, registry(WordCounter(), modality=Modality.TEXT))
    assert [look.begins for look in looks] == [0, 0, 20, 36]


def test_the_words_are_kept_with_their_boxes_in_thousandths():
    word = reader.ReadWord("vote", 0.1, 0.2, 0.3, 0.25, 0.912)
    shown = replace(picture(photo()), text="vote", words=(word,))
    assert facts_of(shown)["read_words"] == [[100, 200, 200, 50, 0.91, "vote"]]
