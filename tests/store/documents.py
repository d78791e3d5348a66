"""Builders of stored objects for the tests of the store."""

from typing import Any

from plait.store.store import Document, ObjectKey, Write


def key(name: str, *, kind: str = "Service", namespace: str = "default", group: str = "") -> ObjectKey:
    """The key of an object."""
    return ObjectKey(group=group, kind=kind, namespace=namespace, name=name)


def put(
    name: str, *, kind: str = "Service", namespace: str = "default", expected: int | None = None, **spec: Any
) -> Write:
    """A write of an object with that spec."""
    document: Document = {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return Write(key=key(name, kind=kind, namespace=namespace), document=document, expected=expected)


def drop(name: str, *, expected: int | None = None) -> Write:
    """The deletion of a service."""
    return Write(key=key(name), document=None, expected=expected)
