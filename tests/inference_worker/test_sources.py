"""Model folders from real servers of others, and the shelf they are put on."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from inference_worker.errors import ModelUnusable, SourceUnavailable
from inference_worker.registry import MANIFEST
from inference_worker.shelf import Shelf, described
from inference_worker.sources import at, bases, directories, find, s3
from tests import model_folders, third_party
from tests.model_folders import digest, write

BUCKET = "models"


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "shelf", 1_000_000)


def everything(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


# --- The shelf -----------------------------------------------------------------------------------


def test_a_folder_is_fetched_once_and_verified_when_it_is_loaded(tmp_path, shelf):
    folder = write(tmp_path)
    (source,) = find(str(tmp_path))
    pinned = digest(folder)
    assert shelf.find(pinned) is None
    place = shelf.fetch(source, pinned)
    shutil.rmtree(folder)
    assert shelf.fetch(source, pinned) == place
    assert str(shelf.load(pinned)) == "words@1.0.0"


def test_what_was_altered_on_the_shelf_is_not_loaded(tmp_path, shelf):
    folder = write(tmp_path)
    place = shelf.fetch(at(str(folder)), digest(folder))
    (place / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelUnusable, match="was altered"):
        shelf.load(digest(folder))
    (place / MANIFEST).write_text("{}")
    with pytest.raises(ModelUnusable, match=f"{MANIFEST} was altered"):
        shelf.load(digest(folder))


def test_other_files_than_were_registered_are_refused(tmp_path, shelf):
    folder = write(tmp_path)
    registered = digest(folder)
    shutil.rmtree(folder)
    write(tmp_path, training={"again": True})
    with pytest.raises(ModelUnusable, match="holds other files now"):
        shelf.fetch(at(str(folder)), registered)


@pytest.mark.parametrize("fault", ["altered", "missing", "too large"])
def test_half_a_folder_is_never_seen(tmp_path, shelf, fault):
    folder = write(tmp_path)
    if fault == "altered":
        (folder / "model.safetensors").write_bytes(b"x")
    elif fault == "missing":
        (folder / "model.safetensors").unlink()
    else:
        shelf = Shelf(shelf.root, 10)
    with pytest.raises(ModelUnusable, match=r"model\.safetensors|KILINDA_MAX_MODEL_BYTES"):
        shelf.fetch(at(str(folder)), digest(folder))
    assert everything(shelf.root) == []


def test_what_a_killed_process_left_behind_is_written_again(tmp_path, shelf):
    folder = write(tmp_path)
    left = shelf.root / f"draft-{digest(folder)}" / "words"
    left.mkdir(parents=True)
    (left / "unfinished.safetensors").write_bytes(b"x")
    shelf.fetch(at(str(folder)), digest(folder))
    assert str(shelf.load(digest(folder))) == "words@1.0.0"
    assert everything(shelf.root) == [digest(folder)]


def _fetch(root: Path, uri: str, wanted: str, start: object, done: object) -> None:
    start.wait(30)  # type: ignore[attr-defined]
    done.put(str(Shelf(root, 10**9).fetch(at(uri), wanted)))  # type: ignore[attr-defined]


def test_processes_that_fetch_at_once_all_find_the_whole_folder(tmp_path, shelf):
    folder = write(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(20_000_000))
    stated = json.loads((folder / MANIFEST).read_text())
    stated["files"][weights.name] = model_folders.sha256(weights)
    (folder / MANIFEST).write_text(json.dumps(stated))
    context = multiprocessing.get_context("spawn")
    start, done = context.Event(), context.Queue()
    arguments = (shelf.root, str(folder), digest(folder), start, done)
    fetching = [context.Process(target=_fetch, args=arguments) for _ in range(3)]
    for process in fetching:
        process.start()
    start.set()
    places = {done.get(timeout=60) for _ in fetching}
    for process in fetching:
        process.join()
    assert places == {str(shelf.find(digest(folder)))}
    assert everything(shelf.root) == [digest(folder)]
    assert str(shelf.load(digest(folder))) == "words@1.0.0"


# --- Places --------------------------------------------------------------------------------------


def test_several_places_are_separated_by_commas():
    written = "/srv/models, s3://bucket/prefix,models:/abuse@production"
    assert bases(written) == ["/srv/models", "s3://bucket/prefix", "models:/abuse@production"]
    assert directories(written) == [Path("/srv/models")]


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("/nowhere/at/all", "There is no directory /nowhere/at/all"),
        ("ftp://host/model", "does not begin with s3://, models:/"),
        ("s3:///prefix", "names no bucket"),
        ("models:/abuse", "is not models:/name@alias"),
        ("models:/abuse/1/../2", "is not models:/name@alias"),
    ],
)
def test_a_place_that_makes_no_sense_is_named(uri, named, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=named):
        find(uri)


def test_mlflow_needs_an_address(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SourceUnavailable, match="needs MLFLOW_TRACKING_URI"):
        find("models:/abuse@production")


def test_servers_that_are_away_are_named_without_their_address(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"^MLflow cannot be asked: ConnectError\.$"):
        find("models:/abuse@production")


# --- S3 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server with a bucket; return its address."""
    with third_party.s3_server(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def bucket(storage, monkeypatch) -> Iterator[object]:
    """A client of the server, and our own pointed at it by the variables an operator sets."""
    for name, value in (
        ("AWS_ENDPOINT_URL_S3", storage),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3._client.cache_clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=each["Key"])
    client.delete_bucket(Bucket=BUCKET)
    client.close()
    s3._client().close()
    s3._client.cache_clear()


def upload(client, folder: Path, prefix: str) -> None:
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"{prefix}{path.name}")


@pytest.mark.live
@third_party.needs_servers
def test_models_are_found_and_fetched_below_a_prefix(tmp_path, shelf, bucket):
    first, second = write(tmp_path), write(tmp_path, "others")
    upload(bucket, first, "live/words/")
    upload(bucket, second, "live/deep/others/")
    upload(bucket, second, "elsewhere/")
    found = find(f"s3://{BUCKET}/live")
    assert [each.uri for each in found] == [
        f"s3://{BUCKET}/live/deep/others",
        f"s3://{BUCKET}/live/words",
    ]
    model = described(found[1])
    assert (str(model.folder), model.digest) == ("words@1.0.0", digest(first))
    shelf.fetch(at(model.source.uri), model.digest)
    assert str(shelf.load(model.digest)) == "words@1.0.0"


@pytest.mark.live
@third_party.needs_servers
def test_an_object_changed_behind_our_back_is_refused(tmp_path, shelf, bucket):
    folder = write(tmp_path)
    upload(bucket, folder, "words/")
    bucket.put_object(Bucket=BUCKET, Key="words/model.safetensors", Body=b"other weights")
    with pytest.raises(ModelUnusable, match=r"model\.safetensors does not match its sha256"):
        shelf.fetch(at(f"s3://{BUCKET}/words"), digest(folder))
    assert everything(shelf.root) == []


@pytest.mark.live
@third_party.needs_servers
def test_what_the_storage_refuses_is_named(bucket):
    with pytest.raises(SourceUnavailable, match="the object storage answers NoSuchBucket"):
        find("s3://no-such-bucket/models")
    with pytest.raises(SourceUnavailable, match="the object storage answers NoSuchKey"):
        described(at(f"s3://{BUCKET}/nothing"))
    assert find(f"s3://{BUCKET}/empty") == []


# --- MLflow --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server; return its address."""
    with third_party.mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.mark.live
@third_party.needs_servers
def test_an_alias_is_followed_and_the_version_behind_it_pinned(
    tmp_path, shelf, tracking, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    first, second = write(tmp_path / "a"), write(tmp_path / "b", version="1.1.0")
    number = third_party.register(tracking, first, "abuse words", "production")
    (found,) = find("models:/abuse words@production")
    assert found.uri == f"models:/abuse words/{number}"
    model = described(found)
    # The alias moves on; what was registered is still found by its number.
    third_party.register(tracking, second, "abuse words", "production", below="packed")
    shelf.fetch(at(found.uri), model.digest)
    assert str(shelf.load(digest(first))) == "words@1.0.0"
    (moved,) = find("models:/abuse words@production")
    assert moved.uri == f"models:/abuse words/{int(number) + 1}/packed"
    assert described(moved).digest == digest(second)
    shelf.fetch(at(moved.uri), digest(second))
    assert str(shelf.load(digest(second))) == "words@1.1.0"


@pytest.mark.live
@third_party.needs_servers
def test_what_mlflow_does_not_have_is_named(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    with pytest.raises(SourceUnavailable, match="MLflow answers 404 RESOURCE_DOES_NOT_EXIST"):
        find("models:/no-such-model@production")
    with pytest.raises(SourceUnavailable, match="MLflow answers 404"):
        find("models:/no-such-model/3")
