"""Secrets that gateways show: missing, unreadable, expired, for other hosts, or shown in two places."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import GATEWAY, ISTIO, Item, Mesh, covers
from plait.analysis.references import granted

_SOON: Final = 30 * 86400.0
_NAMES: Final = (("tls.crt", "tls.key"), ("cert", "key"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A listener that shows a Secret's certificate."""

    item: Item
    field: Field
    namespace: str
    name: str
    hosts: tuple[str, ...]
    place: str
    """What stands for the address that it listens on."""


def _uses(mesh: Mesh) -> Iterator[_Use]:
    for item in mesh.of(GATEWAY, "Gateway"):
        for listener in item.spec["listeners"].items():
            for field in listener.at("tls", "certificateRefs").items():
                hosts = (listener["hostname"].text,) if listener["hostname"] else ()
                namespace = field["namespace"].text or item.namespace
                name = field["name"]
                yield _Use(
                    item=item, field=name, namespace=namespace, name=name.text, hosts=hosts, place=item.full_name
                )
    for item in mesh.of(ISTIO, "Gateway"):
        place = str(sorted(item.spec["selector"].labels.items()))
        for server in item.spec["servers"].items():
            field = server.at("tls", "credentialName")
            hosts = tuple(text.rpartition("/")[2] for text in server["hosts"].texts())
            if field.text:
                yield _Use(item=item, field=field, namespace=item.namespace, name=field.text, hosts=hosts, place=place)


def secrets(mesh: Mesh) -> Iterator[Finding]:
    """Everything that is wrong with the Secrets that gateways show."""
    shown: dict[tuple[str, str], _Use] = {}
    for use in _uses(mesh):
        secret = mesh.find("", "Secret", use.namespace, use.name) or _in_gateway_namespace(mesh, use)
        if secret is None:
            sentence = f"Secret {use.namespace}/{use.name} does not exist"
            yield use.item.find(messages.UNKNOWN_SECRET, use.field, sentence, "make it with tls.crt and tls.key")
            continue
        yield from _ungranted(mesh, use)
        yield from _certificate(mesh, use, secret)
        earlier = shown.setdefault((use.namespace, use.name), use)
        if earlier.place != use.place:
            sentence = f"Gateway {earlier.item.full_name} shows Secret {use.name} too, at another address"
            remedy = "join the Gateways, or give each a certificate of its own"
            yield use.item.find(messages.DUPLICATE_CERTIFICATE, use.field, sentence, remedy)


def _in_gateway_namespace(mesh: Mesh, use: _Use) -> Item | None:
    """Istio looks where the gateway's proxy runs."""
    if use.item.resource.kind.group != ISTIO:
        return None
    places = {found.namespace for found in mesh.selected(use.item.spec["selector"].labels, "")}
    return next((found for place in sorted(places) if (found := mesh.find("", "Secret", place, use.name))), None)


def _ungranted(mesh: Mesh, use: _Use) -> Iterator[Finding]:
    target = ("", "Secret", use.name)
    if use.namespace != use.item.namespace and not granted(mesh, use.item, target, use.namespace):
        sentence = f"no ReferenceGrant in {use.namespace} lets Gateways of {use.item.namespace} use Secret {use.name}"
        yield use.item.find(messages.MISSING_GRANT, use.field, sentence, f"add one in namespace {use.namespace}")


def _certificate(mesh: Mesh, use: _Use, secret: Item) -> Iterator[Finding]:
    try:
        certificate = _read(secret)
    except ValueError as error:
        sentence = f"Secret {secret.full_name}: {error}"
        yield secret.find(messages.BAD_CERTIFICATE, "data", sentence, "put a PEM chain and its key there")
        return
    left = certificate.not_valid_after_utc.timestamp() - mesh.now
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if mesh.now and left <= 0:
        sentence = f"the certificate of Secret {secret.full_name} expired on {until}"
        yield use.item.find(messages.BAD_CERTIFICATE, use.field, sentence, "renew it")
    elif mesh.now and left < _SOON:
        sentence = f"the certificate of Secret {secret.full_name} expires on {until}"
        yield use.item.find(messages.CERTIFICATE_EXPIRES, use.field, sentence, "renew it")
    names = _hosts(certificate)
    for host in use.hosts:
        if names and host != "*" and not any(_names(pattern, host) for pattern in names):
            sentence = f"the certificate of Secret {secret.full_name} is for {', '.join(names)}, not for {host}"
            yield use.item.find(messages.CERTIFICATE_HOST, use.field, sentence, "get one that names the host")


def _names(pattern: str, host: str) -> bool:
    """Whether a certificate's name is good for a host: a wildcard stands for one label."""
    return covers(pattern, host) and (pattern.count(".") == host.count(".") or pattern == host)


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(found.get_values_for_type(x509.DNSName))


def _read(secret: Item) -> x509.Certificate:
    """The certificate of a Secret; raises ValueError with what is wrong with it or its key."""
    texts = {name: field.text.encode() for name, field in secret.root["stringData"].members()}
    for name, field in secret.root["data"].members():
        try:
            texts.setdefault(name, base64.b64decode(field.text, validate=True))
        except binascii.Error:
            raise ValueError(f"data.{name} is not base64") from None
    pair = next((pair for pair in _NAMES if pair[0] in texts), None)
    if pair is None or pair[1] not in texts:
        raise ValueError("tls.crt and tls.key are not both there")
    try:
        certificate = x509.load_pem_x509_certificates(texts[pair[0]])[0]
    except ValueError:
        raise ValueError(f"{pair[0]} is no PEM certificate") from None
    try:
        key = load_pem_private_key(texts[pair[1]], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{pair[1]} is no PEM key without a password") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ValueError(f"{pair[1]} is not the key of {pair[0]}")
    return certificate
