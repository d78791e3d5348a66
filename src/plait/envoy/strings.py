"""How Envoy compares strings, headers, query parameters and paths, computed on its own messages.

Expressions are RE2 in Envoy and Python's here; what Envoy's validation admits means the same in both but for
character classes of Unicode, so `\\d`, `\\w` and `\\s` are ASCII as in RE2.
"""

import re
from collections.abc import Sequence
from functools import lru_cache, partial

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import string_pb2

Headers = Sequence[tuple[str, str]]
"""Headers in order, names in lower case; `:method`, `:path` and `:authority` are among them."""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def fullmatch(pattern: str, text: str) -> bool:
    """Whether an expression matches a whole string."""
    return _compiled(pattern).fullmatch(text) is not None


def substitute(pattern: str, substitution: str, text: str) -> str:
    """Envoy's regex_rewrite: every match is replaced, `\\1` stands for a group.

    As in RE2, an empty match right after another one is none.
    """
    result: list[str] = []
    at, last_end = 0, -1
    while at <= len(text) and (found := _compiled(pattern).search(text, at)) is not None:
        result.append(text[at : found.start()])
        if found.start() == found.end() == last_end:
            result.append(text[last_end : last_end + 1])
            at = last_end + 1
            continue
        result.append(re.sub(r"\\(\\|\d)", partial(_part, found), substitution))
        at = last_end = found.end()
    return "".join(result) + text[at:]


def _part(found: re.Match[str], written: re.Match[str]) -> str:
    reference = written.group(1)
    return "\\" if reference == "\\" else found.group(int(reference)) or ""


def matches(matcher: string_pb2.StringMatcher, text: str) -> bool:
    """Whether a string matcher accepts a string."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return fullmatch(matcher.safe_regex.regex, text)
    wanted: str = getattr(matcher, kind or "exact")
    if matcher.ignore_case:
        wanted, text = wanted.lower(), text.lower()
    if kind == "prefix":
        return text.startswith(wanted)
    if kind == "suffix":
        return text.endswith(wanted)
    if kind == "contains":
        return wanted in text
    return text == wanted


def header(headers: Headers, name: str) -> str | None:
    """The value of a header; several of one name are joined as Envoy joins them."""
    values = [value for key, value in headers if key == name.lower()]
    return ",".join(values) if values else None


def header_matches(matcher: route_components_pb2.HeaderMatcher, headers: Headers) -> bool:
    """Whether a header matcher accepts the headers; of several values of one name, one that matches is enough."""
    values = [value for name, value in headers if name == matcher.name.lower()]
    if matcher.WhichOneof("header_match_specifier") == "present_match":
        return (bool(values) == matcher.present_match) != matcher.invert_match
    if not values and not matcher.treat_missing_header_as_empty:
        return False
    return any(matches(matcher.string_match, value) for value in values or [""]) != matcher.invert_match


def query_matches(matcher: route_components_pb2.QueryParameterMatcher, query: str) -> bool:
    """Whether a query parameter matcher accepts a query string; the first of several of one name counts."""
    values = dict(reversed([_pair(part) for part in query.split("&") if part]))
    if matcher.WhichOneof("query_parameter_match_specifier") == "string_match":
        return matcher.name in values and matches(matcher.string_match, values[matcher.name])
    return matcher.name in values


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key, value


def split_path(path: str) -> tuple[str, str]:
    """(path, query) of a request's path; a fragment belongs to neither."""
    plain, _, query = path.partition("#")[0].partition("?")
    return plain, query


def path_matches(match: route_components_pb2.RouteMatch, path: str) -> bool:
    """Whether a route's path condition accepts a path without its query."""
    kind = match.WhichOneof("path_specifier")
    if kind == "safe_regex":
        return fullmatch(match.safe_regex.regex, path)
    wanted: str = getattr(match, kind or "path")
    if match.HasField("case_sensitive") and not match.case_sensitive.value:
        wanted, path = wanted.lower(), path.lower()
    if kind == "path":
        return path == wanted
    if kind == "prefix":
        return path.startswith(wanted)
    return kind == "path_separated_prefix" and (path == wanted or path.startswith(wanted + "/"))


def miss(match: route_components_pb2.RouteMatch, headers: Headers) -> str:
    """Why a request does not match a route; empty if it does."""
    path, query = split_path(header(headers, ":path") or "")
    connects = header(headers, ":method") == "CONNECT"
    if connects != match.HasField("connect_matcher"):
        return "path is asked for, and CONNECT has none" if connects else "path is not asked for: only CONNECT is"
    if not connects and not path_matches(match, path):
        return f"path is {path}, not {_path_condition(match)}"
    failed = next((item for item in match.headers if not header_matches(item, headers)), None)
    if failed is not None:
        return f"header {failed.name} is {_shown(header(headers, failed.name))}, {_condition(failed)}"
    unmatched = next((item for item in match.query_parameters if not query_matches(item, query)), None)
    return f"query parameter {unmatched.name} is not {_value(unmatched.string_match)}" if unmatched else ""


def _path_condition(match: route_components_pb2.RouteMatch) -> str:
    kind = match.WhichOneof("path_specifier")
    if kind == "safe_regex":
        return f"one that the expression {match.safe_regex.regex} matches"
    if kind == "path":
        return match.path
    return f"under {match.path_separated_prefix or match.prefix}"


def _shown(value: str | None) -> str:
    return "missing" if value is None else repr(value)


def _condition(matcher: route_components_pb2.HeaderMatcher) -> str:
    wanted = "present" if matcher.HasField("present_match") else _value(matcher.string_match)
    return f"must {'not ' if matcher.invert_match else ''}be {wanted}"


def _value(matcher: string_pb2.StringMatcher) -> str:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return f"matched by {matcher.safe_regex.regex}"
    return repr(matcher.exact) if kind == "exact" else f"{kind or 'present'} {getattr(matcher, kind or 'exact')!r}"
