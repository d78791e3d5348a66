"""What is wrong with this machine's part of the mesh, as findings {check, ok, problem, remedy}."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from plait.errors import PlaitError
from plait.node import admin, envoys, leftovers
from plait.node.context import NodeContext
from plait.node.membership import MachineIdentity
from plait.node.registry import Registry
from plait.node.workload import Workload


def finding(check: str, problem: str = "", remedy: str = "") -> dict[str, Any]:
    """One finding; without a problem all is well."""
    return {"check": check, "ok": not problem, "problem": problem, "remedy": remedy}


async def examine(registry: Registry, identity: MachineIdentity) -> list[dict[str, Any]]:
    """Look at everything this agent answers for."""
    context = registry.context
    found = [_certificate(identity), _capture(context)]
    found += await _leftovers(context)
    for workload in registry:
        found += await _workload(workload)
    return found


def _certificate(identity: MachineIdentity) -> dict[str, Any]:
    left = identity.member.identity.not_after - datetime.now(UTC)
    hours = left.total_seconds() / 3600
    if hours < 0:
        return finding("machine certificate", "this machine's certificate has expired", "join again with a new token")
    if hours < 6:
        return finding("machine certificate", f"it expires in {hours:.1f} h", "check that control can be reached")
    return finding("machine certificate")


def _capture(context: NodeContext) -> dict[str, Any]:
    if context.network is None and context.settings.privileged:
        return finding("capture", f"workloads are captured explicitly only: {context.why_explicit}", "install nftables")
    return finding("capture")


async def _leftovers(context: NodeContext) -> list[dict[str, Any]]:
    network = context.network
    if network is None:
        return []
    known = [place.netns for place in network.places()]
    found = await asyncio.to_thread(leftovers.leftovers, network.mesh_id, known=known, running=True)
    if not found:
        return [finding("leftovers")]
    return [finding("leftovers", f"{item} belongs to no workload", "restart the node agent") for item in found]


async def _workload(workload: Workload) -> list[dict[str, Any]]:
    check = f"workload {workload.name}"
    try:
        live = await admin.is_live(workload.directory.admin)
    except PlaitError as error:
        said = admin.last_words(workload.directory.envoy_log)
        return [finding(check, f"its sidecar does not answer: {said or error.problem}", "see `plait proxy logs`")]
    if not live:
        return [finding(check, "its sidecar has not taken its configuration", "see `plait proxy list`")]
    if not envoys.current(workload):
        problem = "its proxy was started from another Envoy, or with another bootstrap, than this machine has now"
        return [finding(check, problem, f"plait proxy upgrade {workload.name.name} -n {workload.name.namespace}")]
    if workload.probe_result and not workload.life.published:
        return [finding(check, f"its app does not answer: {workload.probe_result}", "see the app's own log")]
    return [finding(check)]
