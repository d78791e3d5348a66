"""TLS towards a backend that ends it itself: its name is asked for and its certificate checked."""

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from plait.envoy import names as names_of_envoy
from plait.envoy import proto
from plait.model.backend_tls import BackendTls


def transport_socket(wanted: BackendTls, *, alpn: str) -> base_pb2.TransportSocket:
    """The transport socket of a cluster whose endpoints end TLS; `alpn` is the protocol inside, if it is HTTP."""
    subject = common_pb2.SubjectAltNameMatcher
    names = [subject(san_type=subject.DNS, matcher=string_pb2.StringMatcher(exact=host)) for host in wanted.hosts]
    names += [subject(san_type=subject.URI, matcher=string_pb2.StringMatcher(exact=uri)) for uri in wanted.uris]
    checked = common_pb2.CertificateValidationContext(match_typed_subject_alt_names=names)
    context = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(
            tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
            tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
        ),
        alpn_protocols=(alpn,) if alpn else (),
    )
    if wanted.certificate is not None:
        shown = names_of_envoy.gateway_secret(wanted.certificate.namespace, wanted.certificate.name)
        context.tls_certificate_sds_secret_configs.append(
            secret_pb2.SdsSecretConfig(name=shown, sds_config=proto.ads())
        )
    if wanted.authorities is None:
        combined = context.combined_validation_context
        combined.default_validation_context.CopyFrom(checked)
        system = secret_pb2.SdsSecretConfig(name=names_of_envoy.SYSTEM_SECRET, sds_config=proto.ads())
        combined.validation_context_sds_secret_config.CopyFrom(system)
    else:
        checked.trusted_ca.inline_bytes = wanted.authorities
        context.validation_context.CopyFrom(checked)
    message = tls_pb2.UpstreamTlsContext(common_tls_context=context, sni=wanted.server_name)
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=proto.packed(message))
