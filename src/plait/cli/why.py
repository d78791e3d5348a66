"""`plait why`: where a call would go, and why, without making it.

The answer is told in the order in which things happen: who calls, which name and address, which listener, route and
rule, to which endpoints, with which identity, by leave of which policy, within which time; each with its line of YAML.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from plait.cli import context, durations, options
from plait.cli.errors import UsageError
from plait.cli.fields import as_mapping
from plait.cli.output import say
from plait.cli.render import Output, show_value

SCHEMES = ("tcp://", "tls://")

Call = Annotated[list[str], typer.Argument(metavar="[METHOD] URL", help="GET http://reviews/1, or tcp://db:5432")]
Caller = Annotated[str, typer.Option("--from", metavar="WORKLOAD", help="Who calls: NAME or NAMESPACE/NAME.")]
Principal = Annotated[str, typer.Option("--principal", metavar="ID", help="Who calls, by SPIFFE identity.")]
Headers = Annotated[list[str] | None, typer.Option("-H", "--header", metavar="K:V", help="Header; repeatable.")]
SourceIp = Annotated[str, typer.Option("--source-ip", metavar="A", help="Address the call comes from.")]
Claims = Annotated[str, typer.Option("--jwt-claims", metavar="JSON", help="Claims of the caller's token.")]


def why(  # noqa: PLR0913 - a typer command: its parameters are its options
    call: Call,
    *,
    caller: Caller = "",
    principal: Principal = "",
    headers: Headers = None,
    source_ip: SourceIp = "",
    jwt_claims: Claims = "",
    output: options.Format = Output.TABLE,
) -> None:
    """Tell where a call would go and why, with the lines of YAML that decide it."""
    if bool(caller) == bool(principal):
        raise UsageError("who calls?", "say --from WORKLOAD, or --principal SPIFFE-ID, not both")
    method, url = method_and_url(call)
    question = {
        "fromWorkload": caller,
        "principal": principal,
        "method": method,
        "url": url,
        "headers": _headers(headers or []),
        "sourceIp": source_ip,
        "jwtClaims": _claims(jwt_claims),
    }
    with context.current().client() as client:
        answer: Mapping[str, Any] = client.why(question)
    if output in (Output.JSON, Output.YAML):
        show_value(answer, output)
        return
    for line in story(answer):
        say(line)


def method_and_url(call: list[str]) -> tuple[str, str]:
    """The method (empty where there is none) and URL of a call as written on the command line."""
    url = call[-1]
    if len(call) > 2:
        raise UsageError(f"too many words: {' '.join(call)}", "write METHOD URL, such as GET http://reviews/1")
    if url.startswith(SCHEMES):
        if len(call) == 2:
            raise UsageError(f"{url} has no method", f"leave {call[0]} out")
        return "", url
    if "://" not in url:
        raise UsageError(
            f"{url!r} is no URL", f"write http://{url.lstrip('/') or 'HOST/'}, tcp://HOST:PORT or tls://SNI:PORT"
        )
    return (call[0].upper() if len(call) == 2 else "GET"), url


def _headers(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if not text.partition(":")[1] or not text.partition(":")[0].strip():
            raise UsageError(f"-H {text!r} is no header", "write -H 'name: value'")
    return {name.strip().lower(): value.strip() for name, _, value in (text.partition(":") for text in texts)}


def _claims(text: str) -> dict[str, Any]:
    try:
        value = as_mapping(json.loads(text) if text else {})
    except ValueError:
        raise UsageError("--jwt-claims is no JSON", """write --jwt-claims '{"sub": "alice"}'""") from None
    if value is None:
        raise UsageError("--jwt-claims is no JSON object", """write --jwt-claims '{"sub": "alice"}'""")
    return {str(name): item for name, item in value.items()}


def story(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer as sentences: what becomes of the call, then every step, then limits and the nearest miss."""
    yield str(answer["sentence"])
    for number, step in enumerate(answer.get("steps") or (), start=1):
        place = where(step.get("source"))
        yield f"{number:>3}. {step['stage']}: {step['outcome']}{f'  [{place}]' if place else ''}"
    if not answer.get("steps"):
        yield from _without_steps(answer)
    if limits := _limits(answer):
        yield f"     {limits}"
    if miss := answer.get("nearestMiss"):
        yield f"     nearest miss: {miss}"


def _without_steps(answer: Mapping[str, Any]) -> Iterator[str]:
    named = {"listener": answer.get("listener"), "route": answer.get("route"), "rule": where(answer.get("rule"))}
    ends = {"endpoints": ", ".join(answer.get("endpoints") or ()), "policy": where(answer.get("policy"))}
    yield from (f"     {name}: {value}" for name, value in {**named, **ends}.items() if value)


def _limits(answer: Mapping[str, Any]) -> str:
    parts = list[str]()
    if answer.get("timeout"):
        parts.append(f"answer within {durations.short(float(answer['timeout']))}")
    if answer.get("retries"):
        times = "once" if answer["retries"] == 1 else f"{answer['retries']} times"
        parts.append(f"tried again at most {times}")
    return "; ".join(parts)


def where(source: Mapping[str, Any] | None) -> str:
    """Where something was written: `HTTPRoute default/reviews spec.rules[0] (shop.yaml:12)`."""
    if not source:
        return ""
    name = f"{source['namespace']}/{source['name']}" if source.get("namespace") else source["name"]
    path = f" {source['path']}" if source.get("path") else ""
    line = f":{source['line']}" if source.get("line") else ""
    file = f" ({source['file']}{line})" if source.get("file") else ""
    return f"{source['kind']} {name}{path}{file}"
