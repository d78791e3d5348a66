"""The conditions of a VirtualService's rules, as the model says them.

Istio's prefixes are of strings: `/v2` matches `/v2example`. A header condition without a comparison, or with the
expression `.*`, asks for presence. `uri`, `scheme`, `method` and `authority` among headers mean nothing there.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from plait.model.traffic import Callers, Matching, NamedMatch, RequestMatch, StringMatch
from plait.resources.istio import matches as api
from plait.resources.istio.virtual_service import HTTPMatchRequest
from plait.snapshot.workloads import labels_of

_ANY: Final = frozenset({".*", "*", ""})
_NOT_HEADERS: Final = frozenset({"uri", "scheme", "method", "authority"})
ANY_PATH: Final = StringMatch(matching=Matching.STRING_PREFIX, value="/")


def request_match(match: HTTPMatchRequest) -> RequestMatch:
    """What a request must be."""
    return RequestMatch(
        path=string_match(match.uri, ANY_PATH) or ANY_PATH,
        ignore_path_case=match.ignore_uri_case,
        method=string_match(match.method),
        scheme=string_match(match.scheme),
        authority=string_match(match.authority),
        headers=(*_named(match.headers), *_named(match.without_headers, inverted=True)),
        query=tuple(_query(match.query_params)),
    )


def callers(match: HTTPMatchRequest) -> Callers:
    """Which callers get the rule."""
    return Callers(namespace=match.source_namespace, labels=labels_of(match.source_labels))


def string_match(match: api.StringMatch | None, empty: StringMatch | None = None) -> StringMatch | None:
    """A comparison; `empty` is what one without a value means."""
    if match is None:
        return None
    for matching, value in (
        (Matching.EXACT, match.exact),
        (Matching.STRING_PREFIX, match.prefix),
        (Matching.REGEX, match.regex),
    ):
        if value:
            return StringMatch(matching=matching, value=value)
    return empty


def _named(conditions: Mapping[str, api.StringMatch], *, inverted: bool = False) -> Iterator[NamedMatch]:
    present = StringMatch(matching=Matching.PRESENT)
    for name, match in sorted(conditions.items()):
        if name.lower() not in _NOT_HEADERS:
            yield NamedMatch(name=name.lower(), match=_or_present(match, present), inverted=inverted)


def _query(conditions: Mapping[str, api.StringMatch]) -> Iterator[NamedMatch]:
    """Parameters: an exact empty string is what a parameter without a value has."""
    present = StringMatch(matching=Matching.PRESENT)
    for name, match in sorted(conditions.items()):
        yield NamedMatch(name=name, match=_or_present(match, present))


def _or_present(match: api.StringMatch, present: StringMatch) -> StringMatch:
    if match.regex in _ANY or match.prefix == "":
        return present
    if match.exact is not None:
        return StringMatch(matching=Matching.EXACT, value=match.exact)
    return string_match(match, present) or present
