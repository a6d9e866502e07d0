"""Signs pictures with content credentials, by a certificate authority that exists only here."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SMALL = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
    "builder": {"thumbnail": {"enabled": False}},
}
BEFORE = {"parameters": {"ingredientIds": ["before"]}}
"""In an action: that it was done to the file `made_from`."""


@dataclass(frozen=True)
class Authority:
    """A root certificate and a signer below it, as PEM."""

    root: str
    chain: str
    key: str


@cache
def authority(organisation: str = "Test Newsroom") -> Authority:
    """Make a root and a signing certificate of this organisation."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("Test Root", "Test Authority"), _name("Camera 7", organisation)
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    signer = (
        _certificate(name, root_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    root_pem, signer_pem = (each.public_bytes(Encoding.PEM).decode() for each in (root, signer))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Authority(root_pem, signer_pem + root_pem, pem)


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def created(source: str) -> list[dict[str, Any]]:
    """Return the one action of a file that came to be by this digital source type."""
    return [{"action": "c2pa.created", "digitalSourceType": IPTC + source}]


def signed(
    content: bytes,
    mime: str,
    actions: list[dict[str, Any]],
    *,
    by: Authority | None = None,
    made_from: tuple[bytes, str] | None = None,
    kept_at: str = "",
) -> bytes:
    """Return the file with a credential; with `kept_at`, with only the address of one.

    `made_from` is a file and how it was used: parentOf or componentOf.
    """
    who = by or authority()
    builder = c2pa.Builder(
        {
            "claim_generator_info": [{"name": "Test Camera", "version": "1.2"}],
            "assertions": [{"label": "c2pa.actions", "data": {"actions": actions}}],
        },
        context=c2pa.Context.from_dict(SMALL),
    )
    if made_from:
        ingredient, relationship = made_from
        builder.add_ingredient(
            {"title": "before", "label": "before", "relationship": relationship},
            mime,
            io.BytesIO(ingredient),
        )
    if kept_at:
        builder.set_no_embed()
        builder.set_remote_url(kept_at)
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(b"es256", who.chain.encode(), who.key.encode(), None)
    )
    out = io.BytesIO()
    builder.sign(signer, mime, io.BytesIO(content), out)
    return out.getvalue()
