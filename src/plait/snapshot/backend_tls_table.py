"""The declared BackendTLSPolicies: by name, by the Services they are for, by the objects with authorities they name."""

from collections.abc import Iterable

from plait.model.ids import ObjectName
from plait.snapshot.backend_tls import DeclaredAuthorities, DeclaredBackendTls
from plait.snapshot.declared import Reference
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References, put_value


class BackendTlsTable:
    """BackendTLSPolicies, and ConfigMaps and Secrets with authorities."""

    def __init__(self) -> None:
        self.policies: dict[ObjectName, DeclaredBackendTls] = {}
        self.authorities: dict[Reference, DeclaredAuthorities] = {}
        self._targets = References[ObjectName, Reference]()
        self._sources = References[ObjectName, Reference]()

    def put(self, name: ObjectName, declared: DeclaredBackendTls | None, dirty: Dirty) -> None:
        """Set or remove (None) a policy; every policy for the same targets is looked at again."""
        if not put_value(self.policies, name, declared):
            return
        former = self._targets.keys(name)
        self._targets.put(name, (target for target, _ in declared.targets) if declared else ())
        self._sources.put(name, declared.authorities if declared else ())
        dirty.backend_tls.update(former | self._targets.keys(name))
        dirty.backend_tls_statuses.add(name)

    def put_authorities(self, reference: Reference, declared: DeclaredAuthorities | None, dirty: Dirty) -> bool:
        """Set or remove (None) the authorities that an object holds; tells whether anything changed."""
        if not put_value(self.authorities, reference, declared):
            return False
        for name in self._sources.owners(reference):
            dirty.backend_tls.update(self._targets.keys(name))
        return True

    def of(self, target: Reference) -> list[DeclaredBackendTls]:
        """The policies for that object, the one that is in force first."""
        return sorted((self.policies[name] for name in self._targets.owners(target)), key=lambda item: item.age)

    def targeted(self, targets: Iterable[Reference]) -> set[Reference]:
        """Those of the objects that a policy is for."""
        return {target for target in targets if any(self._targets.owners(target))}
