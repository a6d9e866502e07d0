"""A manifest is read strictly, and what is wrong is named by line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from inference_worker.manifests import ManifestUnusable, read


def write(folder: Path, *lines: str, name: str = "test.csv") -> Path:
    path = folder / name
    path.write_bytes("\n".join(lines).encode())
    return path


def test_a_text_that_spans_lines_is_one_item_with_its_groups(tmp_path):
    manifest = write(
        tmp_path,
        "\ufefftext,label,source,lang,condition",  # as a spreadsheet saves it
        '"two\nlines, one item",abuse,forum,sw,short',
        "fine,0,,,",
    )
    first, second = read(manifest)
    assert (first.text, first.label, first.line) == ("two\nlines, one item", 1, 2)
    assert first.groups == ["source forum", "language sw", "condition short"]
    assert (second.label, second.line, second.groups) == (0, 4, ["source unknown"])


def test_files_lie_beside_the_manifest(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(b"x")
    (item,) = read(write(tmp_path, "file,label", "clips/a.wav,spoof"))
    assert (item.path, item.label) == (tmp_path / "clips" / "a.wav", 1)


def test_a_compressed_manifest_is_read(tmp_path):
    path = tmp_path / "test.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\nx,Real\n"))
    assert read(path)[0].label == 0


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], "test.csv is empty"),
        (["text,label"], "no items"),
        (["words,label", "x,1"], r"line 1: no column text or file among: words, label"),
        (["text,class", "x,1"], "line 1: no column label among: text, class"),
        (["text,label,label", "x,1,0"], "line 1: a column is named twice"),
        (["text,label", "x,1", "y,maybe"], "Line 3, column label: 'maybe' is not known"),
        (["text,label", "x,1", "y,"], "Line 3, column label: '' is not known"),
        (["text,label", "x,1", ",1"], "Line 3: give one of the columns text and file; both are em"),
        (["text,file,label", "x,y.wav,1"], "Line 2: .*; both are filled"),
        (["text,label", "one, two,1"], "Line 2: more cells than columns"),
        (["text,label", "x,1", '"never closed,1'], "line 3: unexpected end of data"),
        (["file,label", "a.wav,1", "b.wav,0"], r"2 of 2 files are missing .*line 2: .*a\.wav"),
        (["file,label", *(f"{n}.wav,1" for n in range(9))], "and 4 more"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, named):
    with pytest.raises(ManifestUnusable, match=named):
        read(write(tmp_path, *lines))


def test_a_manifest_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(ManifestUnusable, match="No such file"):
        read(tmp_path / "none.csv")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("text,label\nÄrger,1\n".encode("latin-1"))
    with pytest.raises(ManifestUnusable, match="not UTF-8"):
        read(latin)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"text,label\nx,1\n" * 99)[:-20])
    with pytest.raises(ManifestUnusable, match="no whole gzip file"):
        read(cut)
    false = tmp_path / "false.csv.gz"
    false.write_bytes(b"text,label\n")
    with pytest.raises(ManifestUnusable, match="cannot be read"):
        read(false)
