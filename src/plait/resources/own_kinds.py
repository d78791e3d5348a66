"""The kinds of Plait's own."""

from plait.resources.kind import Column, Kind
from plait.resources.plait.mesh_test import MeshTest

OWN_KINDS = (
    Kind(
        group="plait.dev",
        versions=("v1",),
        kind="MeshTest",
        plural="meshtests",
        model=MeshTest,
        columns=(Column(name="Age", path=".metadata.creationTimestamp", type="date"),),
        effective=False,
        note="stored; `plait test -f` runs it, the mesh does nothing with it",
    ),
)
"""What no standard has an object for."""
