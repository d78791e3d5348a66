"""Transport sockets: the mesh's mutual TLS on both sides, and a gateway's TLS towards its clients.

Keys and trust bundles are never in these messages: Envoy takes the secrets `identity` and `bundle` by SDS
from the node agent, so a rotation changes nothing here. The server decides by the ALPN list of its chain
whether its sidecar speaks HTTP (`h2, http/1.1`) or passes the app's own protocol (`http/1.1` or `h2`);
clients offer both and follow.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from envoy.config.core.v3 import base_pb2, proxy_protocol_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from plait.envoy import names, proto
from plait.model.gateways import ClientCertificates, TlsTerms
from plait.model.traffic_policy import UpstreamTls

USUAL_TERMS: Final = TlsTerms()
_VERSIONS: Final = (
    common_pb2.TlsParameters.TLSv1_0,
    common_pb2.TlsParameters.TLSv1_1,
    common_pb2.TlsParameters.TLSv1_2,
    common_pb2.TlsParameters.TLSv1_3,
)


def _secret(name: str) -> secret_pb2.SdsSecretConfig:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=proto.ads())


def _parameters() -> common_pb2.TlsParameters:
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
        tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
    )


def _context(peers: Iterable[string_pb2.StringMatcher], alpn: Sequence[str]) -> tls_pb2.CommonTlsContext:
    subject = common_pb2.SubjectAltNameMatcher
    validation = common_pb2.CertificateValidationContext(
        match_typed_subject_alt_names=[subject(san_type=subject.URI, matcher=peer) for peer in peers]
    )
    return tls_pb2.CommonTlsContext(
        tls_params=_parameters(),
        tls_certificate_sds_secret_configs=[_secret(names.IDENTITY_SECRET)],
        combined_validation_context=tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=validation,
            validation_context_sds_secret_config=_secret(names.BUNDLE_SECRET),
        ),
        alpn_protocols=alpn,
    )


def _socket(context: tls_pb2.UpstreamTlsContext | tls_pb2.DownstreamTlsContext) -> base_pb2.TransportSocket:
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=proto.packed(context))


def to_server(identities: Iterable[str]) -> base_pb2.TransportSocket:
    """Mutual TLS towards servers that must prove one of these SPIFFE IDs."""
    peers = [string_pb2.StringMatcher(exact=identity) for identity in sorted(identities)]
    return _socket(tls_pb2.UpstreamTlsContext(common_tls_context=_context(peers, ()), sni=names.MESH_SERVER_NAME))


def from_clients(trust_domain: str, alpn: Sequence[str]) -> base_pb2.TransportSocket:
    """Mutual TLS towards callers, who must have an identity of this trust domain."""
    peers = [string_pb2.StringMatcher(prefix=f"spiffe://{trust_domain}/")]
    return _socket(
        tls_pb2.DownstreamTlsContext(common_tls_context=_context(peers, alpn), require_client_certificate=proto.true())
    )


def from_outside(
    certificates: Iterable[str],
    *,
    alpn: Sequence[str] = ("h2", "http/1.1"),
    terms: TlsTerms = USUAL_TERMS,
    trust_domain: str = "",
) -> base_pb2.TransportSocket:
    """A gateway's TLS: it proves itself by these secrets, and asks its clients for what the terms say."""
    if terms.mesh:
        return from_clients(trust_domain, alpn)
    context = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(
            tls_minimum_protocol_version=_VERSIONS[terms.oldest],
            tls_maximum_protocol_version=_VERSIONS[terms.newest],
            cipher_suites=terms.ciphers,
        ),
        tls_certificate_sds_secret_configs=[_secret(name) for name in certificates],
        alpn_protocols=alpn,
    )
    message = tls_pb2.DownstreamTlsContext(common_tls_context=context)
    if terms.clients is not ClientCertificates.UNASKED:
        message.common_tls_context.validation_context.CopyFrom(_of_clients(terms))
    if terms.clients is ClientCertificates.REQUIRED:
        message.require_client_certificate.CopyFrom(proto.true())
    return _socket(message)


def _of_clients(terms: TlsTerms) -> common_pb2.CertificateValidationContext:
    subject = common_pb2.SubjectAltNameMatcher
    checked = common_pb2.CertificateValidationContext
    lenient = terms.clients is ClientCertificates.UNVERIFIED
    return checked(
        trust_chain_verification=checked.ACCEPT_UNTRUSTED if lenient else checked.VERIFY_TRUST_CHAIN,
        trusted_ca=base_pb2.DataSource(inline_bytes=terms.authorities),
        match_typed_subject_alt_names=[
            subject(san_type=_san_type(name), matcher=string_pb2.StringMatcher(exact=name)) for name in terms.names
        ],
        verify_certificate_spki=terms.keys,
        verify_certificate_hash=terms.hashes,
    )


def to_outside(tls: UpstreamTls, host: str, *, http2: bool | None) -> base_pb2.TransportSocket:
    """TLS towards a destination, as its policy describes it; `host` is its name, `http2` what it speaks, if HTTP.

    Unless other names are given, its certificate must be for the server name that is asked for. Where `host` stands for
    many, each is asked for its own name.
    """
    name = tls.server_name or ("" if host.startswith("*") else host)
    context = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(
            tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
            tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
        ),
        alpn_protocols=() if http2 is None else ("h2",) if http2 else ("http/1.1",),
    )
    if tls.certificate is not None:
        secret = names.gateway_secret(tls.certificate.namespace, tls.certificate.name)
        context.tls_certificate_sds_secret_configs.append(_secret(secret))
    if tls.verified:
        _verify(context, tls.names or ((name,) if name else ()), tls.authorities)
    return _socket(tls_pb2.UpstreamTlsContext(common_tls_context=context, sni=name))


def _verify(context: tls_pb2.CommonTlsContext, expected: Iterable[str], authorities: bytes | None) -> None:
    validation = common_pb2.CertificateValidationContext(
        match_typed_subject_alt_names=[
            common_pb2.SubjectAltNameMatcher(san_type=_san_type(text), matcher=string_pb2.StringMatcher(exact=text))
            for text in expected
        ]
    )
    if authorities is not None:
        validation.trusted_ca.inline_bytes = authorities
        context.validation_context.CopyFrom(validation)
        return
    combined = context.combined_validation_context
    combined.default_validation_context.CopyFrom(validation)
    combined.validation_context_sds_secret_config.CopyFrom(_secret(names.SYSTEM_SECRET))


def _san_type(text: str) -> common_pb2.SubjectAltNameMatcher.SanType.ValueType:
    if "://" in text:
        return common_pb2.SubjectAltNameMatcher.URI
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return common_pb2.SubjectAltNameMatcher.DNS
    return common_pb2.SubjectAltNameMatcher.IP_ADDRESS


def with_client_address(socket: base_pb2.TransportSocket, version: str) -> base_pb2.TransportSocket:
    """The same, after a line of the PROXY protocol that tells the address of the caller."""
    config = proxy_protocol_pb2.ProxyProtocolConfig(
        version=proxy_protocol_pb2.ProxyProtocolConfig.V2
        if version == "V2"
        else proxy_protocol_pb2.ProxyProtocolConfig.V1
    )
    wrapped = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(config=config, transport_socket=socket)
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=proto.packed(wrapped)
    )


def plaintext() -> base_pb2.TransportSocket:
    """No TLS."""
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=proto.packed(raw_buffer_pb2.RawBuffer())
    )
