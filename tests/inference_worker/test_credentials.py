"""Content credentials of real files, signed here: what they say, and what they cannot break."""

import io
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import c2pa
import pytest
from PIL import Image

from inference_worker.decoding.credentials import CredentialReader, may_carry, provenance_of
from inference_worker.decoding.decoder import Decoder
from inference_worker.decoding.parcel import MOST_CHARACTERS, MOST_STATED
from inference_worker.looks import Sense, add_up, facts_of
from inference_worker.provenance import observe
from inference_worker.types import Credential, Modality, Picture, Provenance
from tests.factories import picture_bytes, sound_bytes, video_bytes
from tests.signing import BEFORE, Authority, authority, created, signed

PLAIN = picture_bytes(format="JPEG")
AI = created("trainedAlgorithmicMedia")
CAMERA = created("digitalCapture")


@pytest.fixture(scope="module")
def decoder():
    with Decoder(slots=1) as decoder:
        yield decoder


@pytest.fixture
def read(decoder, tmp_path):
    def read(content: bytes, modality: Modality = Modality.IMAGE) -> Provenance:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return decoder.decode(path, modality).provenance

    return read


@contextmanager
def trusting(tmp_path: Path, *authorities: Authority):
    """A decoder that trusts these authorities."""
    pem = tmp_path / "trusted.pem"
    pem.write_text("".join(each.root for each in authorities))
    with Decoder(slots=1, trusted=pem) as decoder:
        yield decoder


# What a credential says


def test_a_file_without_a_credential_has_none_which_is_no_finding(read):
    assert read(PLAIN) == Provenance(Credential.NONE)
    assert observe(read(PLAIN)) is None


def test_who_made_it_how_and_with_what_is_read(read):
    seen = read(signed(PLAIN, "image/jpeg", AI))

    assert (seen.issuer, seen.signer, seen.generator) == (
        "Test Newsroom",
        "Camera 7",
        "Test Camera 1.2",
    )
    assert seen.sources == ("trainedAlgorithmicMedia",)
    assert seen.actions == ("c2pa.created",)


@pytest.mark.parametrize(
    ("content", "mime", "modality"),
    [
        (picture_bytes(format="PNG"), "image/png", Modality.IMAGE),
        (picture_bytes(format="WEBP"), "image/webp", Modality.IMAGE),
        (picture_bytes(format="GIF"), "image/gif", Modality.IMAGE),
        (sound_bytes(), "audio/wav", Modality.AUDIO),
        (video_bytes(), "video/mp4", Modality.VIDEO),
    ],
)
def test_credentials_are_read_from_every_kind_of_file_that_has_them(read, content, mime, modality):
    assert read(content, modality).state is Credential.NONE
    seen = read(signed(content, mime, AI), modality)
    assert (seen.state, seen.sources) == (Credential.UNTRUSTED, ("trainedAlgorithmicMedia",))


def test_an_unknown_signer_is_called_unknown_although_the_signature_is_intact(read):
    seen = read(signed(PLAIN, "image/jpeg", CAMERA))

    finding = observe(seen)
    assert seen.state is Credential.UNTRUSTED
    assert (finding.code, finding.severity) == ("content_credential_camera", "info")
    assert "signature is intact, but we do not know the signer (Test Newsroom)" in finding.message


def test_a_signer_on_the_trust_list_is_trusted_and_no_other(tmp_path):
    known, stranger = authority("Known Agency"), authority("Stranger")
    path = tmp_path / "upload"
    with trusting(tmp_path, known) as decoder:
        path.write_bytes(signed(PLAIN, "image/jpeg", CAMERA, by=known))
        trusted = decoder.decode(path, Modality.IMAGE).provenance
        path.write_bytes(signed(PLAIN, "image/jpeg", CAMERA, by=stranger))
        untrusted = decoder.decode(path, Modality.IMAGE).provenance

    assert trusted.state is Credential.VALID
    assert "on the trust list: Known Agency" in observe(trusted).message
    assert untrusted.state is Credential.UNTRUSTED


def test_a_declaration_of_ai_is_a_high_finding_whoever_signed_it(read):
    finding = observe(read(signed(PLAIN, "image/jpeg", AI)))
    assert (finding.code, finding.severity) == ("content_credential_ai", "high")
    assert finding.details["sources"] == ["trainedAlgorithmicMedia"]


def test_ai_stays_declared_when_the_picture_was_edited_afterwards(read):
    generated = signed(PLAIN, "image/jpeg", AI)
    edits = [{"action": "c2pa.opened", **BEFORE}, {"action": "c2pa.cropped"}]

    seen = read(signed(PLAIN, "image/jpeg", edits, made_from=(generated, "parentOf")))

    assert seen.actions == ("c2pa.created", "c2pa.opened", "c2pa.cropped")
    assert seen.ingredients == 1
    assert observe(seen).message.startswith("An intact content credential says: made by generative")


def test_a_camera_picture_with_a_generated_part_is_made_in_part_by_ai(read):
    generated = signed(PLAIN, "image/jpeg", AI)
    steps = [*CAMERA, {"action": "c2pa.placed", **BEFORE}]

    seen = read(signed(PLAIN, "image/jpeg", steps, made_from=(generated, "componentOf")))

    assert (seen.sources, seen.parts) == (("digitalCapture",), ("trainedAlgorithmicMedia",))
    assert observe(seen).code == "content_credential_ai"
    assert "made in part by generative AI" in observe(seen).message


def test_other_sources_are_reported_without_alarm(read):
    finding = observe(read(signed(PLAIN, "image/jpeg", created("digitalCreation"))))
    assert (finding.code, finding.severity) == ("content_credential", "info")


# Broken, removed, unreadable


def test_changed_pixels_break_the_credential_and_are_a_finding(read):
    content = bytearray(signed(PLAIN, "image/jpeg", CAMERA))
    content[-40] ^= 1  # in the entropy-coded pixels, which the credential covers

    seen = read(bytes(content))

    finding = observe(seen)
    assert seen.state is Credential.INVALID
    assert "assertion.dataHash.mismatch" in seen.codes
    assert (finding.code, finding.severity) == ("content_credential_broken", "medium")
    assert "changed after it was signed" in finding.message


def test_a_rewritten_declaration_breaks_the_credential(read):
    content = signed(PLAIN, "image/jpeg", AI)
    forged = content.replace(b"trainedAlgorithmicMedia", b"trainedAlgorithmicXedia")
    assert read(forged).state is Credential.INVALID


def test_a_broken_declaration_of_ai_is_not_believed(read):
    content = bytearray(signed(PLAIN, "image/jpeg", AI))
    content[-40] ^= 1
    assert observe(read(bytes(content))).code == "content_credential_broken"


def test_a_credential_that_was_removed_leaves_nothing(read):
    out = io.BytesIO()  # as any messenger does: decode and encode again
    Image.open(io.BytesIO(signed(PLAIN, "image/jpeg", AI))).save(out, "JPEG")
    assert read(out.getvalue()).state is Credential.NONE


def test_a_credential_cut_to_pieces_is_unreadable_and_the_picture_still_decodes(decoder, tmp_path):
    content = signed(PLAIN, "image/jpeg", AI)
    at = content.index(b"cbor")
    path = tmp_path / "upload"
    path.write_bytes(content[:at] + bytes(60) + content[at + 60 :])

    picture = decoder.decode(path, Modality.IMAGE)

    assert picture.pixels.shape == (48, 64, 3)
    assert picture.provenance.state in {Credential.UNREADABLE, Credential.INVALID}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_noise_anywhere_in_a_credential_never_costs_the_picture(decoder, tmp_path, share):
    content = bytearray(signed(PLAIN, "image/jpeg", AI))
    start = content.index(b"jumb")
    at = start + int((content.rindex(b"c2pa") - start) * share)
    content[at : at + 8] = b"\xff\x00\x80\x7f\x01\xfe\x10\xef"
    path = tmp_path / "upload"
    path.write_bytes(content)

    assert decoder.decode(path, Modality.IMAGE).provenance.state is not Credential.VALID


# Nothing is fetched


@contextmanager
def listening():
    """A server that counts who comes."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/kept.c2pa", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_credential_kept_elsewhere_is_named_and_never_fetched(read):
    with listening() as (address, asked):
        content = signed(PLAIN, "image/jpeg", CAMERA, kept_at=address)
        seen = read(content)
        CredentialReader(io.BytesIO(content), "").read()  # nor outside the sandbox
        assert asked == []
        with pytest.raises(c2pa.C2paError):  # c2pa left to itself would
            c2pa.Reader("image/jpeg", io.BytesIO(content))
        assert asked == ["/kept.c2pa"]

    assert seen == Provenance(Credential.REMOTE, address=address)
    assert observe(seen).severity == "info"
    assert "not fetched" in observe(seen).message


# Hostile readers and hostile values


@pytest.mark.parametrize("act", ["spin", "crash", "allocate", "raise", "garble"])
def test_a_credential_reader_that_is_taken_over_costs_the_content_nothing(tmp_path, act):
    path = tmp_path / "upload"
    path.write_bytes(signed(PLAIN, "image/jpeg", AI) + f"act={act};".encode())
    with Decoder(slots=1, server="hostile_child") as decoder:
        picture = decoder.decode(path, Modality.IMAGE)
        assert picture.pixels.shape == (48, 64, 3)
        assert picture.provenance.state is Credential.UNREADABLE


def test_the_credential_reader_cannot_open_a_socket(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(signed(PLAIN, "image/jpeg", AI) + b"act=tcp;")
    with Decoder(slots=1, server="hostile_child") as decoder:
        assert decoder.decode(path, Modality.IMAGE).provenance.codes == ("PermissionError",)


def test_what_a_credential_claims_is_cut_to_what_may_be_stored(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(signed(PLAIN, "image/jpeg", AI) + b"act=boast;")
    with Decoder(slots=1, server="hostile_child") as decoder:
        seen = decoder.decode(path, Modality.IMAGE).provenance

    assert len(seen.issuer) == MOST_CHARACTERS
    assert seen.signer == "evil liar"
    assert len(seen.actions) == MOST_STATED


# The search for marks


def test_marks_are_found_where_two_steps_meet(tmp_path, monkeypatch):
    monkeypatch.setattr("inference_worker.decoding.credentials._STEP", 8)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 6 + b"c2pa" + b"x" * 9)
    with path.open("rb") as file:
        assert may_carry(file.fileno())
    path.write_bytes(b"x" * 6 + b"c2p_" + b"x" * 9)
    with path.open("rb") as file:
        assert not may_carry(file.fileno())


# Into the result


def test_the_finding_joins_what_the_detectors_say_and_the_state_is_kept(decoder, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(signed(PLAIN, "image/jpeg", AI))
    picture = decoder.decode(path, Modality.IMAGE)
    assert isinstance(picture, Picture)

    (judged,) = add_up(picture, [])

    assert (judged.sense, judged.judgement.code) == (Sense.VISUAL, "content_credential_ai")
    assert facts_of(picture)["content_credential"] == "untrusted"


def test_a_chain_of_files_made_from_each_other_in_a_circle_ends():
    def manifest(parent: str) -> dict:
        return {
            "ingredients": [{"relationship": "parentOf", "active_manifest": parent}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": CAMERA}}],
        }

    store = {"active_manifest": "a", "manifests": {"a": manifest("b"), "b": manifest("a")}}
    assert provenance_of(json.loads(json.dumps(store))).sources == ("digitalCapture",)


def test_this_machine_can_open_sockets_outside_the_sandbox():
    """Or the test that the reader cannot would prove nothing."""
    socket.socket(socket.AF_INET).close()
