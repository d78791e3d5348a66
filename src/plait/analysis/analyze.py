"""Looks at a set of objects with every analyzer. To add one: a message in `messages`, a function here, two tests."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from plait.analysis import (
    annotations,
    certificates,
    destination_rules,
    gateways,
    policies,
    references,
    routes,
    services,
    virtual_services,
    written,
)
from plait.analysis.findings import Finding
from plait.analysis.mesh import Mesh
from plait.resources.violations import Violation

Analyzer = Callable[[Mesh], Iterable[Finding]]

ANALYZERS: Final[tuple[Analyzer, ...]] = (
    written.deprecated,
    written.without_effect,
    annotations.annotations,
    references.unknown_hosts,
    references.unknown_backends,
    references.nowhere,
    virtual_services.unknown_gateways,
    virtual_services.conflicting_hosts,
    virtual_services.shadowed,
    virtual_services.subsets_at_gateways,
    routes.parents,
    routes.shadowed,
    destination_rules.conflicting,
    destination_rules.empty_subsets,
    destination_rules.unverified,
    destination_rules.mutual_tls,
    gateways.conflicting,
    gateways.unused,
    gateways.unserved,
    gateways.selectors,
    certificates.secrets,
    services.port_names,
    services.shared_ports,
    services.without_workloads,
    services.collisions,
    services.entry_addresses,
    policies.selects_nothing,
    policies.conflicting,
    policies.tokens_of_tcp,
    policies.telemetry_providers,
    policies.plaintext_identities,
    policies.unknown_accounts,
)
"""Every look that is taken, each a function from the mesh to findings."""


def analyze(mesh: Mesh, violations: Sequence[Violation] = ()) -> tuple[Finding, ...]:
    """Everything that is wrong with a set of objects, and with those that could not be read, in the order of files."""
    found = [finding for analyzer in ANALYZERS for finding in analyzer(mesh)]
    found += [written.violation(item) for item in violations]
    found += list(written.refused(mesh, found))
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.order))
