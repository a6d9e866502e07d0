"""What a file is, told from its first bytes."""

import io
import wave

import av
import numpy as np
import pytest
from PIL import Image

from inference_worker.decoding.sniff import HEAD_BYTES, sniff
from inference_worker.types import Modality


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, kind)
    return out.getvalue()


def wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3200))
    return out.getvalue()


def container(kind: str, sound: str | None, pictures: str | None, rate: int = 48_000, **options):
    out = io.BytesIO()
    with av.open(out, "w", format=kind, options=options) as file:
        streams = []
        if pictures:
            video = file.add_stream(pictures, rate=10)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            streams.append((video, [av.VideoFrame(64, 64, "yuv420p") for _ in range(3)]))
        if sound:
            audio = file.add_stream(sound, rate=rate, layout="mono")
            silence = np.zeros((1, rate // 5), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate = rate
            streams.append((audio, [frame]))
        for stream, frames in streams:
            for pts, frame in enumerate(frames):
                frame.pts = pts
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
    ],
)
def test_pictures_are_recognised(kind, mime):
    found = sniff(picture(kind)[:HEAD_BYTES])
    assert (found.mime, found.modality) == (mime, Modality.IMAGE)


CONTAINERS = [
    ("wav", "pcm_s16le", None, "audio/wav", {}),
    ("flac", "flac", None, "audio/flac", {}),
    ("mp3", "libmp3lame", None, "audio/mpeg", {}),
    ("mp3", "libmp3lame", None, "audio/mpeg", {"id3v2_version": "0", "write_xing": "0"}),
    ("adts", "aac", None, "audio/aac", {}),
    ("ogg", "libopus", None, "audio/ogg", {}),
    ("ogg", "flac", None, "audio/ogg", {}),
    ("webm", "libopus", None, "audio/webm", {}),
    ("webm", "libopus", "libvpx", "video/webm", {}),
    ("matroska", None, "mpeg4", "video/x-matroska", {}),
    ("ipod", "aac", None, "audio/mp4", {}),  # brand M4A
    ("mp4", "aac", None, "audio/mp4", {"movflags": "empty_moov"}),  # brand isom, sound alone
    ("mp4", "aac", "mpeg4", "video/mp4", {"movflags": "empty_moov"}),
    ("mp4", None, "mpeg4", "video/mp4", {}),
    ("mov", "aac", "mpeg4", "video/quicktime", {}),
    ("3gp", "aac", "mpeg4", "video/3gpp", {}),
]


@pytest.mark.parametrize(("kind", "sound", "pictures", "mime", "options"), CONTAINERS)
def test_containers_are_told_apart_by_what_they_hold(kind, sound, pictures, mime, options):
    found = sniff(container(kind, sound, pictures, **options)[:HEAD_BYTES])
    assert (found.mime, found.modality.value) == (mime, mime.split("/")[0])


def test_amr_is_sound():
    assert sniff(b"#!AMR\n" + bytes(32)).mime == "audio/amr"


@pytest.mark.parametrize(
    "text",
    ["Habari za asubuhi", "BMW imeuzwa leo asubuhi", "ID3 is a tag", "<3 you", "GIF or JIF?"],
)
def test_words_are_text(text):
    found = sniff(text.encode())
    assert (found.mime, found.modality) == ("text/plain", Modality.TEXT)


def test_a_text_cut_inside_a_character_is_still_text():
    assert sniff(("ሰላም" * 2000).encode()[: HEAD_BYTES - 1]).modality is Modality.TEXT


def test_a_byte_order_mark_does_not_hide_markup():
    assert sniff(b"\xef\xbb\xbf<svg onload='x'/>") is None
    assert sniff(b"\xef\xbb\xbfJambo").mime == "text/plain"


@pytest.mark.parametrize(
    "head",
    [
        b"",  # an empty file
        b"   \n",  # nothing to judge
        b"a\0b",  # NUL
        b"\xff\xfeh\0i\0",  # UTF-16
        b"caf\xe9 au lait",  # Latin-1
        b"\x1f\x8b\x08\0\0\0\0\0",  # gzip
        b"PK\x03\x04\x14\0\0\0",  # zip
        b"PK\x03\x04aaaa",  # zip without a NUL in sight
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"%PDF-1.7\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"#!/bin/sh\nid\n",
        b"\x7fELF\x02\x01\x01\0",
        b"8BPS\0\x01\0\0\0\0",
        b"\0\0\0\x18ftypheic\0\0\0\0",  # pictures no decoder here reads
        b"\x89PNG\r\n\x1a\n\0\0\0\rJUNK",
        b"\xff\xfb\xf0\0",  # an MPEG header with the forbidden bit rate
    ],
)
def test_other_files_are_not_recognised(head):
    assert sniff(head) is None
