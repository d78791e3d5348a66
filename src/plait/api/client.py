"""A client of the API for the command line: plain JSON in and out, errors of `plait.errors`.

Imports neither pydantic nor FastAPI, so that a command starts quickly.
"""

import contextlib
import json
import ssl
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from plait.api.shapes import map_at
from plait.errors import (
    AlreadyExistsError,
    ConflictError,
    DeadlineError,
    ForbiddenError,
    GoneError,
    InvalidInputError,
    NotFoundError,
    PlaitError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from plait.resources.violations import Violation

Json = dict[str, Any]

_BY_REASON: Mapping[str, type[RefusedError]] = {
    error.reason: error
    for error in (NotFoundError, AlreadyExistsError, ConflictError, ForbiddenError, GoneError, StorageError)
}

_START = "is `plait up` running?"


class Client:
    """Talks to one mesh: `unix:///path/of/api.sock`, or `https://HOST:PORT` with a token.

    `ca` is the file with the root that signed the server's certificate; without it the machine's roots are used.
    """

    def __init__(self, server: str, token: str | None = None, *, ca: Path | None = None, timeout: float = 10.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.server = server
        path = server.removeprefix("unix://")
        if path != server:
            transport = httpx.HTTPTransport(uds=path, verify=False)
            self._http = httpx.Client(transport=transport, base_url="http://plait", headers=headers, timeout=timeout)
        else:
            verify = ssl.create_default_context(cafile=str(ca) if ca else None)
            self._http = httpx.Client(base_url=server, headers=headers, timeout=timeout, verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def status(self) -> Json:
        """The state of the mesh (`schemas.Status`)."""
        return self.request("GET", "/plait/v1/status")

    def workloads(self) -> list[Json]:
        """All workloads (`schemas.Workload`)."""
        return self.request("GET", "/plait/v1/workloads")

    def proxies(self) -> list[Json]:
        """All proxies (`schemas.Proxy`)."""
        return self.request("GET", "/plait/v1/proxies")

    def proxy_config(self, namespace: str, name: str) -> Json:
        """The configuration that a proxy was sent."""
        return self.request("GET", f"/plait/v1/proxies/{namespace}/{name}/config")

    def edges(self) -> list[Json]:
        """Traffic between workloads (`schemas.Edge`)."""
        return self.request("GET", "/plait/v1/edges")

    def why(self, question: Mapping[str, Any]) -> Json:
        """Where a call would go (`schemas.WhyQuestion` to `schemas.WhyAnswer`)."""
        return self.request("POST", "/plait/v1/why", body=question)

    def create_token(self, body: Mapping[str, Any]) -> Json:
        """A new token."""
        return self.request("POST", "/plait/v1/tokens", body=body)

    def join(self, body: Mapping[str, Any]) -> Json:
        """Join a machine to the mesh."""
        return self.request("POST", "/plait/v1/join", body=body)

    def apply(self, documents: Sequence[Mapping[str, Any]], **options: Any) -> Json:
        """Put a set into force (`schemas.ApplyRequest`: dryRun, prune, owner, fieldManager, force)."""
        return self.request("POST", "/plait/v1/apply", body={"documents": list(documents), **options}, timeout=60.0)

    def wait(self, revision: int, *, timeout: float) -> Json:
        """Wait until the proxies that need a revision hold it (`schemas.WaitAnswer`)."""
        body = {"revision": revision, "timeout": timeout}
        return self.request("POST", "/plait/v1/wait", body=body, timeout=timeout + 10)

    def kinds(self) -> list[Json]:
        """Every kind served, as discovery describes it, with `group` and `version`."""
        found: list[Json] = []
        versions = [("", version) for version in self.request("GET", "/api")["versions"]]
        for group in self.request("GET", "/apis")["groups"]:
            versions += [(group["name"], version["version"]) for version in group["versions"]]
        for group_name, version in versions:
            listed = self.request("GET", prefix(group_name, version))["resources"]
            found += [{**kind, "group": group_name, "version": version} for kind in listed if "/" not in kind["name"]]
        return found

    def get(self, path: str, **query: str) -> Json:
        """The object or list at a path of the Kubernetes-shaped API (see `object_path`)."""
        return self.request("GET", path, query=query)

    def table(self, path: str, **query: str) -> Json:
        """A list as a table."""
        accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        return self.request("GET", path, query=query, headers=accept)

    def create(self, path: str, document: Mapping[str, Any]) -> Json:
        """A new object in a collection."""
        return self.request("POST", path, body=document)

    def replace(self, path: str, document: Mapping[str, Any]) -> Json:
        """The object at a path anew."""
        return self.request("PUT", path, body=document)

    def patch(self, path: str, patch: Mapping[str, Any]) -> Json:
        """The object at a path with a merge patch in it."""
        return self.request("PATCH", path, body=patch, headers={"content-type": "application/merge-patch+json"})

    def delete(self, path: str) -> Json:
        """Delete the object at a path."""
        return self.request("DELETE", path)

    def watch(
        self, path: str, *, since: str = "", timeout: float | None = None, query: Mapping[str, str] | None = None
    ) -> Iterator[Json]:
        """The events of a collection, {"type", "object"}, until the server ends the watch."""
        options = {**(query or {}), "watch": "1", **({"resourceVersion": since} if since else {})}
        if timeout is not None:
            options["timeoutSeconds"] = str(max(1, round(timeout)))
        with _translated(self.server), self._http.stream("GET", path, params=options, timeout=None) as response:
            if response.status_code >= 400:
                response.read()
                raise error_of(response)
            for line in response.iter_lines():
                yield json.loads(line)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The JSON that a request answers; an error of `plait.errors` says why it could not be done."""
        content = None if body is None else json.dumps(body)
        sent = {**({"content-type": "application/json"} if content else {}), **(headers or {})}
        limit = httpx.USE_CLIENT_DEFAULT if timeout is None else timeout
        with _translated(self.server):
            response = self._http.request(method, path, content=content, params=query, headers=sent, timeout=limit)
        if response.status_code >= 400:
            raise error_of(response)
        return response.json()


@contextlib.contextmanager
def _translated(server: str) -> Generator[None]:
    """Turns failures of the transport into errors of `plait.errors`."""
    path = server.removeprefix("unix://")
    if path != server and not Path(path).exists():
        raise UnreachableError(f"no mesh answers at {server}: there is no such socket", _START)
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise UnreachableError(f"no mesh answers at {server}: it took too long", _START) from error
    except httpx.TimeoutException as error:
        raise DeadlineError(f"{server} did not answer in time", "try again; `plait status`") from error
    except (httpx.TransportError, ssl.SSLError) as error:
        raise UnreachableError(f"no mesh answers at {server}: {error}", _START) from error


def error_of(response: httpx.Response) -> PlaitError:
    """The error that a response with status 400 or above means: a problem, a Status or anything else."""
    try:
        document = map_at(response.json())
    except ValueError:
        document = map_at(None)
    problem = str(document.get("detail") or document.get("message") or f"status {response.status_code}")
    remedy = str(document.get("remedy") or "")
    if violations := document.get("violations"):
        return InvalidInputError([Violation(**violation) for violation in violations])
    if response.status_code == 401:
        return ForbiddenError("the mesh does not know you", remedy or "set PLAIT_TOKEN (`plait token create`)")
    if response.status_code == 504:
        return DeadlineError(problem, remedy)
    if response.status_code == 503:
        return UnreachableError(problem, remedy)
    return _BY_REASON.get(str(document.get("reason")), RefusedError)(problem, remedy)


def prefix(group: str, version: str) -> str:
    """The path of a group's version."""
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def object_path(group: str, version: str, plural: str, *, namespace: str = "", name: str = "") -> str:
    """The path of an object, or of a collection without a name."""
    parts = [
        prefix(group, version),
        *(("namespaces", namespace) if namespace else ()),
        plural,
        *((name,) if name else ()),
    ]
    return "/".join(parts)
