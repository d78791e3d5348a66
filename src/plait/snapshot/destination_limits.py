"""What of a DestinationRule has no effect, or another one than it seems, in sentences for its status."""

from collections.abc import Iterable, Iterator
from typing import Final

from plait.model.destinations import DestinationRule
from plait.model.traffic_policy import Algorithm, TlsMode, TrafficPolicy
from plait.resources.istio.destination_rule import DestinationRuleSpec
from plait.resources.istio.load_balancing import LoadBalancerSettings
from plait.snapshot.conditions import Problem

INERT: Final = "Inert"
UNSUPPORTED: Final = "UnsupportedValue"


def not_done(rule: DestinationRule, spec: DestinationRuleSpec) -> Iterator[Problem]:
    """Every part of a rule that has no effect here."""
    yield from _unsupported_balancers(spec)
    for path, policy in policies_of(rule):
        for reason, sentence in _of_policy(policy, rule):
            yield Problem(reason=reason, message=f"{path}.{sentence}")


def policies_of(rule: DestinationRule) -> Iterator[tuple[str, TrafficPolicy]]:
    """The policies of a rule, its subsets and their ports, by where they are written below `spec`."""
    for policy in (rule.policy, *(subset.policy for subset in rule.subsets)):
        if policy is not None:
            for item in (policy, *(of_port for _, of_port in policy.ports)):
                yield item.origin.path.removeprefix("spec."), item


def _of_policy(policy: TrafficPolicy, rule: DestinationRule) -> Iterator[tuple[str, str]]:
    tls, balancer = policy.tls, policy.balancer
    if tls is not None and tls.problem:
        yield UNSUPPORTED, f"{tls.problem}; calls are refused until then"
    if tls is not None and tls.mode is TlsMode.OWN and tls.credential and rule.selector is None:
        yield INERT, "tls.credentialName: inert at sidecars until there is a workloadSelector; gateways use it"
    if balancer is not None and balancer.algorithm is Algorithm.PASSTHROUGH:
        yield UNSUPPORTED, "loadBalancer: PASSTHROUGH acts only on ServiceEntries with addresses of their own"
    yield from ((INERT, sentence) for sentence in _of_locality(policy))
    yield from ((INERT, sentence) for sentence in _of_outliers(policy))


def _of_locality(policy: TrafficPolicy) -> Iterator[str]:
    balancer = policy.balancer
    preference = balancer.locality if balancer else None
    if balancer is None or preference is None or not preference.enabled:
        return
    if not preference.distribute and policy.outliers is None:
        yield "loadBalancer.localityLbSetting: failover is inert until outlierDetection is set beside it"
    if balancer.key is not None:
        yield "loadBalancer.localityLbSetting: with consistentHash a call may change its endpoint when localities fail"


def _of_outliers(policy: TrafficPolicy) -> Iterator[str]:
    ejection = policy.outliers.ejection if policy.outliers else None
    if ejection is not None and ejection.server_errors and ejection.gateway_errors >= ejection.server_errors:
        both = "gateway errors are server errors too, which are left out before"
        yield f"outlierDetection.consecutiveGatewayErrors: inert while it is not below consecutive5xxErrors: {both}"


def told(rule: DestinationRule) -> str:
    """What a rule does that nobody may have meant: outlier detection turns on failover between localities."""
    for path, policy in policies_of(rule):
        preference = policy.balancer.locality if policy.balancer else None
        if policy.outliers is not None and preference is None:
            switch = "loadBalancer.localityLbSetting.enabled: false turns that off"
            near = "callers prefer endpoints near them and go on to others when these fail"
            return f"{path}.outlierDetection: {near}; {switch}"
    return ""


def _unsupported_balancers(spec: DestinationRuleSpec) -> Iterator[Problem]:
    for path, settings in _balancers(spec):
        zone = settings.zone_aware_lb_setting
        if zone is not None and zone.enabled is not False:
            inert = "zoneAwareLbSetting: calls are not balanced by zone, only failover acts; use localityLbSetting"
            yield Problem(reason=INERT, message=f"{path}.loadBalancer.{inert}")


def _balancers(spec: DestinationRuleSpec) -> Iterable[tuple[str, LoadBalancerSettings]]:
    written = [("trafficPolicy", spec.traffic_policy)]
    written += [(f"subsets[{index}].trafficPolicy", item.traffic_policy) for index, item in enumerate(spec.subsets)]
    for path, policy in written:
        if policy is not None:
            listed = [(path, policy.load_balancer)]
            listed += [
                (f"{path}.portLevelSettings[{index}]", item.load_balancer)
                for index, item in enumerate(policy.port_level_settings)
            ]
            yield from ((where, settings) for where, settings in listed if settings is not None)
