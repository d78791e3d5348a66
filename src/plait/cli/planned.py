"""Workloads that are only planned: entries of a workloads file or of a MeshTest, as a node agent would register them.

So what runs nowhere yet can be analyzed and tested: each gets an address of its own, is ready, and proves its identity.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from plait.cli.fields import as_list, as_mapping
from plait.errors import PlaitError
from plait.node.workload_spec import WorkloadSpec, parse
from plait.resources.violations import Violation
from plait.resources.yaml import Document, Loaded

MACHINE: Final = "planned"
_ENTRY: Final = ("networking.istio.io/v1", "WorkloadEntry")


def is_workloads_file(document: Document) -> bool:
    """Whether it is what `plait start -f` takes, and no object."""
    return "kind" not in document.value and isinstance(document.value.get("workloads"), list)


def with_planned(loaded: Loaded) -> Loaded:
    """What was read, with the workloads of workloads files in the place of these."""
    files = [document for document in loaded.documents if is_workloads_file(document)]
    if not files:
        return loaded
    kept = tuple(document for document in loaded.documents if not is_workloads_file(document))
    made = [planned(file.value["workloads"], file, "workloads") for file in files]
    documents = (*kept, *without_known([item for part in made for item in part.documents], kept))
    return Loaded(
        documents=documents, violations=(*loaded.violations, *(found for part in made for found in part.violations))
    )


def planned(entries: Any, file: Document, path: str) -> Loaded:
    """The WorkloadEntries (and the Services that they bring) of a list in a document, and what is wrong with it."""
    documents: list[Document] = []
    violations: list[Violation] = []
    for index, item in enumerate(as_list(entries) or ()):
        place = f"{path}[{index}]"
        line = file.lines.get(place, file.line)
        try:
            spec = parse({"command": ["-"], **(as_mapping(item) or {})})
        except PlaitError as error:
            found = Violation(file=file.file, line=line, path=place, problem=error.problem, remedy=error.remedy)
            violations.append(found)
            continue
        number = len(documents) + 2
        for value in (_entry(spec, f"10.60.{number // 250}.{number % 250 + 2}"), *_services(spec)):
            documents.append(Document(value=value, file=file.file, line=line, lines={"": line}))
    return Loaded(documents=tuple(documents), violations=tuple(violations))


def _entry(spec: WorkloadSpec, address: str) -> dict[str, Any]:
    notes = {
        "node": MACHINE,
        "phase": "Running",
        "ready": "true",
        "capture": "explicit" if spec.capture == "explicit" else "",
        "protocols": ",".join(f"{port.number}={port.protocol}" for port in spec.ports if port.protocol),
        "services": ",".join(f"{offer.name}:{offer.port}={offer.app_port}" for offer in spec.services),
        **({"kind": "gateway", "gateway": spec.gateway} if spec.gateway else {}),
    }
    return {
        "apiVersion": _ENTRY[0],
        "kind": _ENTRY[1],
        "metadata": {
            "name": spec.name.name,
            "namespace": spec.name.namespace,
            "annotations": {f"plait.dev/{name}": value for name, value in notes.items() if value},
        },
        "spec": {
            "address": address,
            "ports": {port.name or f"port-{port.number}": port.number for port in spec.ports},
            "labels": dict(spec.labels),
            "serviceAccount": spec.service_account,
            **({"locality": spec.locality} if spec.locality else {}),
        },
    }


def _services(spec: WorkloadSpec) -> Iterator[dict[str, Any]]:
    for offer in spec.services:
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": offer.name, "namespace": spec.name.namespace},
            "spec": {"ports": [{"name": "http", "port": offer.port}]},
        }


def without_known(made: Sequence[Document], kept: Sequence[Document]) -> Iterator[Document]:
    """What is planned, each object once, without what others declare already."""
    known = {_key(document.value) for document in kept}
    for document in made:
        if _key(document.value) not in known:
            known.add(_key(document.value))
            yield document


def _key(value: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = as_mapping(value.get("metadata")) or {}
    return str(value.get("kind")), str(metadata.get("namespace") or "default"), str(metadata.get("name"))
