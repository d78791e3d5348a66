"""Rules that one VirtualService hands on to another, merged as Istio merges them.

Each match of the delegate must lie within one of the root's; where it says nothing, the root's condition holds. A rule
with a match that lies outside all of them is left out. What the delegate does not set, the root's rule gives. A
delegate has no hosts and no gateways of its own, and delegates no further.
https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from plait.model.ids import ObjectName
from plait.resources.istio.matches import StringMatch
from plait.resources.istio.virtual_service import HTTPMatchRequest, HTTPRoute
from plait.snapshot.virtual_destinations import VirtualRoute
from plait.snapshot.virtual_services import DeclaredVirtualService, virtual_route

_INHERITED: Final = frozenset(
    {"rewrite", "direct_response", "timeout", "retries", "fault", "mirror", "mirror_percent", "mirror_percent_old"}
    | {"mirror_percentage", "cors_policy", "headers"}
)
Say = Callable[[str], None]
"""Takes a sentence about a rule that is left out."""


def expanded(
    declared: DeclaredVirtualService, find: Callable[[ObjectName], DeclaredVirtualService | None], say: Say
) -> Iterator[VirtualRoute]:
    """The rules of a VirtualService, those of its delegates in the place of what hands on to them."""
    for route in declared.http:
        if route.delegate is None:
            yield route
            continue
        delegate = find(route.delegate)
        problem = _problem(declared, route.delegate, delegate)
        if problem or delegate is None:
            say(f"{route.origin.path}.delegate: {problem}; the rule is left out")
            continue
        yield from _delegated(route, delegate, say)


def _problem(root: DeclaredVirtualService, name: ObjectName, found: DeclaredVirtualService | None) -> str:
    if found is None:
        return f"VirtualService {name} does not exist"
    if not found.seen_from(root.name.namespace):
        return f"VirtualService {name} is not exported to namespace {root.name.namespace}"
    if found.hosts:
        return f"VirtualService {name} has hosts, which one that is delegated to must not have"
    return ""


def _delegated(route: VirtualRoute, delegate: DeclaredVirtualService, say: Say) -> Iterator[VirtualRoute]:
    for index, item in enumerate(delegate.http):
        if item.delegate is not None:
            say(f"VirtualService {delegate.name} {item.origin.path} delegates again, which is left out")
            continue
        matches = _matches(route.written.match, item.written.match)
        if matches is None:
            say(f"VirtualService {delegate.name} {item.origin.path}.match lies outside {route.origin.path}.match")
            continue
        yield virtual_route(_merged(route.written, item.written, matches), item.origin, index=index)


def _merged(root: HTTPRoute, leaf: HTTPRoute, matches: Sequence[HTTPMatchRequest]) -> HTTPRoute:
    inherited = {field: getattr(root, field) for field in _INHERITED if getattr(leaf, field) is None}
    if leaf.redirect is not None:
        inherited.pop("rewrite", None)
    if leaf.route or leaf.redirect is not None:
        inherited.pop("direct_response", None)
    name = "-".join(filter(None, (root.name, leaf.name)))
    mirrors = leaf.mirrors or (() if leaf.mirror is not None else root.mirrors)
    if leaf.mirrors:
        inherited.pop("mirror", None)
    return leaf.model_copy(update={**inherited, "mirrors": mirrors, "name": name, "match": tuple(matches)})


def _matches(roots: Sequence[HTTPMatchRequest], leaves: Sequence[HTTPMatchRequest]) -> list[HTTPMatchRequest] | None:
    """The matches of a merged rule; None if one of the delegate's is in none of the root's."""
    if not roots or not leaves:
        return list(leaves or roots)
    found: list[HTTPMatchRequest] = []
    for leaf in leaves:
        within = [_both(root, leaf) for root in roots if not _conflict(root, leaf)]
        if not within:
            return None
        found.extend(within)
    return found


def _both(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    either = {
        field: getattr(leaf, field) or getattr(root, field)
        for field in ("uri", "scheme", "method", "authority", "port", "source_namespace", "gateways", "stat_prefix")
    }
    both = {
        field: {**getattr(root, field), **getattr(leaf, field)}
        for field in ("headers", "without_headers", "query_params", "source_labels")
    }
    name = "-".join(filter(None, (root.name, leaf.name)))
    ignore_case = leaf.ignore_uri_case or root.ignore_uri_case
    return leaf.model_copy(update={**either, **both, "name": name, "ignore_uri_case": ignore_case})


def _conflict(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    pairs = [(getattr(root, field), getattr(leaf, field)) for field in ("uri", "scheme", "method", "authority")]
    for field in ("headers", "without_headers", "query_params"):
        mine: dict[str, StringMatch] = getattr(root, field)
        pairs += [(mine.get(key), value) for key, value in getattr(leaf, field).items()]
    labels = any(root.source_labels.get(key, value) != value for key, value in leaf.source_labels.items())
    gateways = bool(root.gateways and leaf.gateways) and not set(leaf.gateways) <= set(root.gateways)
    return (
        any(_outside(*pair) for pair in pairs)
        or (bool(root.uri and leaf.uri) and root.ignore_uri_case != leaf.ignore_uri_case)
        or bool(root.port and leaf.port and root.port != leaf.port)
        or bool(root.source_namespace and leaf.source_namespace not in ("", root.source_namespace))
        or labels
        or gateways
    )


def _outside(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    """Whether a condition of the delegate takes in what the root's leaves out; of expressions nobody can tell."""
    if root is None or leaf is None or not (root.exact or root.prefix or root.regex):
        return False
    if root.regex or leaf.regex:
        return True
    if root.exact:
        return leaf.exact != root.exact
    return not (leaf.prefix or leaf.exact or "").startswith(root.prefix or "")
