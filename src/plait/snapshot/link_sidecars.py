"""Linking Sidecars: those in force by namespace, and the workloads that one of them lets call something else.

A changed Sidecar looks at the workloads of its namespace (the root namespace's: at all), and touches only those for
which another reach came out.
"""

from collections.abc import Sequence

from plait.model.reach import Reach
from plait.snapshot.declared import DeclaredWorkload
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.sidecars import Chooser, sidecars_in_force

SIDECAR = "Sidecar"


def link_sidecars(stage: Stage, dirty: Dirty) -> None:
    """Put the Sidecars of every marked namespace in order again."""
    declared, links = stage.tables.sidecars.sidecars, stage.links
    for namespace in dirty.sidecars:
        stage.effects.work["sidecars"] += 1
        selected, conditions = sidecars_in_force(declared[namespace].values())
        links.sidecars.put(namespace, selected or None)
        links.policy_conditions[SIDECAR, namespace] = conditions


def follow_reaches(stage: Stage, dirty: Dirty, *, root_namespace: str) -> None:
    """Find the reach of every workload that changed, or whose namespace's Sidecars did.

    Namespaces with Sidecars that are not in force for a workload of their own are marked: their statuses say so.
    """
    links, workloads = stage.links, stage.tables.workloads.workloads
    concerned = set(dirty.former)
    if dirty.sidecars:
        everywhere = root_namespace in dirty.sidecars
        concerned.update(name for name in workloads if everywhere or name.namespace in dirty.sidecars)
    sidecars, reaches = links.sidecars.values(), links.reaches
    if not sidecars and not reaches.values():
        return
    chooser = Chooser(sidecars, root_namespace=root_namespace)
    for name in concerned:
        stage.effects.work["reaches"] += 1
        declared, former = workloads.get(name), reaches.get(name)
        reach = chooser.reach_of(declared.workload) if declared else None
        reaches.put(name, reach)
        choosing = chooser.selecting(declared.workload) if declared else ()
        dirty.sidecars.update(links.overlaps.put(SIDECAR, name, choosing))
        if declared and _at_the_app(former) != _at_the_app(reach):
            stage.effects.hosts.add(declared.workload.address)
            stage.effects.workloads.add(name)


def _at_the_app(reach: Reach | None) -> tuple[object, ...]:
    """What is said of calls to the workload itself."""
    return (reach.app_ports, reach.pool, reach.pools) if reach else ((), None, ())


def note_places(stage: Stage, host: str, members: Sequence[DeclaredWorkload], *, same: bool) -> None:
    """Mark the addresses of workloads that a host came to lead to, or no longer does: a Sidecar may ask for that."""
    if not stage.links.reaches.values():
        return
    old, new = ({item.workload.address for item in listed} for listed in (stage.links.members.get(host, ()), members))
    stage.effects.hosts.update(old ^ new if same else old | new)
