"""Discovery: which groups, versions and kinds there are, so that clients can turn names into paths."""

import platform
from typing import Any

from plait import __version__
from plait.api.errors import ApiError
from plait.api.kinds import Catalogue, kinds_of, versions_by_group
from plait.resources.registry import Kind

KUBERNETES = ("1", "32")
"""The version of Kubernetes whose API this one follows."""

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def version() -> dict[str, str]:
    """`/version`."""
    major, minor = KUBERNETES
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+plait-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "python",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def core_versions() -> dict[str, Any]:
    """`/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


async def groups(catalogue: Catalogue) -> dict[str, Any]:
    """`/apis`."""
    found = versions_by_group(await catalogue.all())
    described = [_group(name, versions) for name, versions in sorted(found.items()) if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": described}


async def group(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """`/apis/GROUP`."""
    found = versions_by_group(await catalogue.all())
    if not name or name not in found:
        raise ApiError(404, "the server could not find the requested resource")
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, found[name])}


async def kinds(catalogue: Catalogue, group: str, version: str) -> dict[str, Any]:
    """`/api/v1` and `/apis/GROUP/VERSION`."""
    found = list(kinds_of(await catalogue.all(), group, version))
    if not found:
        raise ApiError(404, "the server could not find the requested resource")
    described = [entry for kind in sorted(found, key=lambda kind: kind.plural) for entry in _entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": described,
    }


def _group(name: str, versions: tuple[str, ...]) -> dict[str, Any]:
    described = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": described, "preferredVersion": described[0]}


def _entries(kind: Kind) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular or kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _VERBS,
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if not kind.has_status:
        return [entry]
    status = {"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind}
    return [entry, {**status, "verbs": ["get", "patch", "update"]}]
