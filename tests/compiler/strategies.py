"""Any valid part of a view, for property tests."""

from dataclasses import replace

from hypothesis import strategies as st

from plait.model.faults import Fault, FaultAbort, FaultDelay
from plait.model.security import (
    Action,
    AuthorizationPolicy,
    AuthorizationRule,
    MutualTlsMode,
    OperationMatch,
    SourceMatch,
)
from plait.model.services import Capture, Protocol, Resolution
from plait.model.traffic import (
    Destination,
    HeaderChange,
    Matching,
    NamedMatch,
    PathChange,
    Redirect,
    RedirectPort,
    RequestMatch,
    Retry,
    Rewrite,
    Rule,
    StringMatch,
)
from plait.model.view import DirectEndpoint, InboundMode, InboundPort, OutboundFrontend, View
from tests import builders as b

BACKENDS = ("red", "green", "blue")

SEGMENTS = st.sampled_from(["a", "b", "ab", "a.b", "v2", "A"])
PATH_VALUES = st.lists(SEGMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts))
EXPRESSIONS = st.sampled_from(["/a.*", "/(a|b)/?", "/[^/]+", ".*", "/a/b(/.*)?", "/v[0-9]+.*"])
WORDS = st.sampled_from(["yes", "no", "maybe", "a.b"])
WORD_EXPRESSIONS = st.sampled_from(["y.*", "(yes|no)", ".+", "[a-z]{2}"])


@st.composite
def string_matches(draw: st.DrawFn, values: st.SearchStrategy[str], patterns: st.SearchStrategy[str]) -> StringMatch:
    """A comparison of any kind that the place allows."""
    kind = draw(st.sampled_from([Matching.EXACT, Matching.PREFIX, Matching.STRING_PREFIX, Matching.REGEX]))
    return StringMatch(matching=kind, value=draw(patterns if kind is Matching.REGEX else values))


@st.composite
def named_matches(draw: st.DrawFn, names: tuple[str, ...], *, invertible: bool) -> NamedMatch:
    """A comparison of a header or query parameter."""
    match = draw(string_matches(WORDS, WORD_EXPRESSIONS) | st.just(StringMatch(matching=Matching.PRESENT)))
    return NamedMatch(name=draw(st.sampled_from(names)), match=match, inverted=invertible and draw(st.booleans()))


PATTERN_CHANGES = st.sampled_from(
    [
        PathChange(pattern="/a", value="/x"),
        PathChange(pattern="^/([^/]*)/(.*)$", value="/\\2/\\1"),
        PathChange(pattern="b*", value="-"),
        PathChange(pattern="(/v2)?$", value="/end"),
    ]
)
FAULTS = st.builds(
    Fault,
    delay=st.none() | st.builds(FaultDelay, seconds=st.just(0.01)),
    abort=st.none()
    | st.builds(FaultAbort, http=st.sampled_from([418, 503, 555]), percent=st.sampled_from([0, 100]))
    | st.just(FaultAbort(grpc=14)),
)
RETRIES = st.builds(
    Retry, attempts=st.integers(0, 3), other_hosts=st.booleans(), other_localities=st.booleans(),
    on=st.just(("connect-failure", "unavailable")), per_try_timeout=st.sampled_from([None, 5.0]),
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn, index: int) -> Rule:
    """A rule with any match and any answer."""
    match = RequestMatch(
        path=draw(string_matches(PATH_VALUES, EXPRESSIONS)),
        ignore_path_case=draw(st.booleans()),
        method=draw(st.none() | string_matches(st.sampled_from(["GET", "POST", "P"]), st.just("G.*|PUT"))),
        scheme=draw(st.none() | st.none() | string_matches(st.sampled_from(["http", "https"]), st.just("https?"))),
        authority=draw(st.none() | string_matches(st.sampled_from(["app", "app:8080"]), st.just("app(:[0-9]+)?"))),
        headers=tuple(draw(st.lists(named_matches(("x-a", "x-b"), invertible=True), max_size=2))),
        query=tuple(draw(st.lists(named_matches(("q", "p"), invertible=False), max_size=1))),
    )
    plain = Rule(name=f"rule-{index}", match=match, origin=b.origin(f"rule-{index}"))
    path = draw(st.none() | st.builds(PathChange, value=PATH_VALUES, prefix=st.booleans()) | PATTERN_CHANGES)
    kind = draw(st.sampled_from(["forward", "forward", "forward", "split", "redirect", "status", "broken"]))
    plain = replace(plain, fault=draw(st.none() | st.none() | FAULTS))
    if kind == "redirect":
        hostname = draw(st.sampled_from(["", "example.org"]))
        scheme = draw(st.sampled_from(["", "http", "https"]))
        code = draw(st.sampled_from([301, 302, 303, 307, 308]))
        port = draw(st.sampled_from([0, 80, 8443]))
        port_of = draw(st.sampled_from(list(RedirectPort)))
        return replace(
            plain,
            redirect=Redirect(scheme=scheme, hostname=hostname, path=path, port=port, port_of=port_of, status=code),
        )
    if kind == "status":
        body = draw(st.sampled_from([None, b"", b"gone\n", b"x" * 5000]))
        return replace(plain, status=draw(st.sampled_from([200, 403, 500, 503])), body=body)
    if kind == "broken":
        return replace(plain, destinations=(Destination(cluster=None),))
    count = 1 if kind == "forward" else 2
    chosen = draw(st.lists(st.sampled_from(BACKENDS), min_size=count, max_size=count, unique=True))
    rewrite = Rewrite(hostname=draw(st.sampled_from(["", "rewritten.example"])), path=path)
    change = HeaderChange(set=tuple(("x-set", word) for word in draw(st.lists(WORDS, max_size=1))))
    destinations = tuple(Destination(cluster=b.key(name), weight=draw(st.integers(0, 3)) or 1) for name in chosen)
    retry = draw(st.none() | RETRIES)
    return replace(plain, destinations=destinations, rewrite=rewrite, request_headers=change, retry=retry)


@st.composite
def rule_lists(draw: st.DrawFn) -> tuple[tuple[Rule, ...], bool]:
    """The rules of a frontend, and whether it is closed."""
    return tuple(draw(rules(index)) for index in range(draw(st.integers(0, 4)))), draw(st.booleans())


METHODS = st.sampled_from(["GET", "POST", "G*", "*T", "*"])
PATH_PATTERNS = st.sampled_from(["/", "/a", "/a*", "*/b", "/a/b", "*", "/A"])
PRINCIPALS = st.sampled_from(
    [b.identity("alice").principal, b.identity("shop/carol").principal, "cluster.local/ns/default/*", "*/sa/bob", "*"]
)
NAMESPACES = st.sampled_from(["default", "shop", "sh*", "*", "*t"])
PORTS = st.sampled_from([1, 2])


def _some(values: st.SearchStrategy[str], size: int = 2) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just(()) | st.lists(values, min_size=1, max_size=size, unique=True).map(tuple)


SOURCES = st.builds(
    SourceMatch,
    principals=_some(PRINCIPALS),
    not_principals=_some(PRINCIPALS, 1),
    namespaces=_some(NAMESPACES),
    not_namespaces=_some(NAMESPACES, 1),
)
OPERATIONS = st.builds(
    OperationMatch,
    methods=_some(METHODS),
    not_methods=_some(METHODS, 1),
    paths=_some(PATH_PATTERNS),
    not_paths=_some(PATH_PATTERNS, 1),
)
POLICY_RULES = st.builds(
    AuthorizationRule,
    sources=st.lists(SOURCES, max_size=2).map(tuple),
    operations=st.lists(OPERATIONS, max_size=2).map(tuple),
)


@st.composite
def policies(draw: st.DrawFn) -> tuple[AuthorizationPolicy, ...]:
    """Up to three policies of either action."""
    return tuple(
        b.policy(f"p{index}", draw(st.sampled_from(list(Action))), *draw(st.lists(POLICY_RULES, max_size=2)))
        for index in range(draw(st.integers(0, 3)))
    )


PORT_NUMBERS = st.sampled_from([80, 443, 5432, 8080, 9090])
PROTOCOLS = st.sampled_from(list(Protocol))
INBOUND = st.builds(
    InboundPort,
    number=PORT_NUMBERS,
    protocol=PROTOCOLS,
    mutual_tls=st.sampled_from(list(MutualTlsMode)),
    mode=st.just(InboundMode.BYTES),
    sidecar_port=st.integers(20000, 30000),
    policies=policies(),
).map(lambda port: replace(port, mode=InboundMode.HTTP) if port.protocol.is_http else port)


@st.composite
def frontends(draw: st.DrawFn, index: int) -> OutboundFrontend:
    """A frontend at an address of its own, in the mesh's range or (rarely) not, or without one."""
    address = draw(st.sampled_from([f"240.240.0.{index + 1}", f"240.240.0.{index + 1}", f"198.51.100.{index + 1}", ""]))
    protocol = draw(PROTOCOLS)
    chosen, closed = draw(rule_lists()) if protocol.is_http else ((), False)
    made = b.frontend(f"s{index}", draw(PORT_NUMBERS), *chosen, address=address, protocol=protocol, closed=closed)
    return replace(made, default=b.key("red"))


@st.composite
def views(draw: st.DrawFn) -> View:
    """Any view of a sidecar, with every cluster that its rules lead to."""
    clusters = [
        replace(
            b.cluster(name, protocol=draw(PROTOCOLS), secure=draw(st.booleans())),
            mixed=draw(st.booleans()),
            resolution=draw(st.sampled_from(list(Resolution))),
        )
        for name in BACKENDS
    ]
    direct = st.builds(DirectEndpoint, address=st.sampled_from(["10.1.0.3", "10.9.0.4"]), port=PORT_NUMBERS,
                       protocol=PROTOCOLS, identity=st.sampled_from(["", str(b.identity("red"))]))  # fmt: skip
    ports = draw(st.lists(INBOUND, max_size=3, unique_by=(lambda port: port.number, lambda port: port.sidecar_port)))
    base = b.view("client", *(draw(frontends(index)) for index in range(draw(st.integers(0, 4)))), *clusters, *ports)
    return replace(
        base,
        capture=draw(st.sampled_from(list(Capture))),
        direct=tuple(draw(st.lists(direct, max_size=2, unique_by=lambda item: (item.address, item.port)))),
        unlisted=draw(st.none() | INBOUND),
        workload_addresses=draw(st.sampled_from([(), ("10.1.0.0/16",)])),
        publish=draw(st.sampled_from([(), ((31080, 8080),), ((31080, 8080), (31081, 7777))])),
    )
