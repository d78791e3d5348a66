"""One page with the annotations, labels and names below plait.dev/; each must occur in the code, and all that do."""

from collections.abc import Mapping
from dataclasses import dataclass

from plait.resources.core.traffic_annotations import SETTINGS
from reference_pages.markdown import code, page, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An annotation: on which object, who writes it, and what it says."""

    on: str
    writer: str
    meaning: str


def _of_workload(meaning: str) -> Note:
    return Note(on="WorkloadEntry", writer="node agent", meaning=meaning)


def _of_rollout(meaning: str) -> Note:
    return Note(on="HTTPRoute", writer="`plait rollout`", meaning=meaning)


ANNOTATIONS: Mapping[str, Note] = {
    "plait.dev/source": Note(
        on="any", writer="`plait apply`", meaning="file and lines it was written on; `plait why` and refusals name them"
    ),
    "plait.dev/ports": Note(
        on="Gateway",
        writer="node agent",
        meaning="without root: which port of the machine stands for which listener, `80=18080,443=18443`",
    ),
    "plait.dev/allow": Note(
        on="Node",
        writer="control",
        meaning="identities that the machine may get certificates for, `default/web,shop/*`",
    ),
    "plait.dev/local": Note(on="Node", writer="control", meaning="`true` on the machine that control runs on"),
    "plait.dev/kind": _of_workload("`sidecar` or `gateway`"),
    "plait.dev/node": _of_workload("machine it runs on; without it the entry is a user's own, outside the mesh"),
    "plait.dev/machine-address": _of_workload("where other machines reach that machine"),
    "plait.dev/capture": _of_workload("`transparent` or `explicit`"),
    "plait.dev/phase": _of_workload("`Pending`, `Warming`, `Running`, `Draining` or `Exited`"),
    "plait.dev/ready": _of_workload("`true` while callers may be sent to it"),
    "plait.dev/netns": _of_workload("path of its network namespace"),
    "plait.dev/pids": _of_workload("process of the app, then that of its sidecar"),
    "plait.dev/endpoint": _of_workload("HOST:PORT at which other machines reach its first port"),
    "plait.dev/protocols": _of_workload("what each port speaks, declared or learnt: `8080=http,5432=tcp`"),
    "plait.dev/published": _of_workload("app port and the machine's port for it: `8080=31001`"),
    "plait.dev/sidecar-ports": _of_workload("explicit capture: app port and the sidecar's port for it"),
    "plait.dev/outbound-port": _of_workload("explicit capture: port of the sidecar's proxy for outgoing calls"),
    "plait.dev/publish": _of_workload("listener that `--publish` opened and the app port behind it"),
    "plait.dev/services": _of_workload("services it was put into by `--service`: `reviews:80=8080`"),
    "plait.dev/gateway": Note(
        on="WorkloadEntry, GatewayClass",
        writer="node agent, control",
        meaning="the Gateway that it is a proxy of; as `controllerName` of a GatewayClass: Plait serves its Gateways",
    ),
    "plait.dev/gateway-ports": _of_workload("port of a listener and the port it is really at"),
    "rollout.plait.dev/phase": _of_rollout("`Progressing`, `Promoted`, `RolledBack` or `Aborted`"),
    "rollout.plait.dev/plan": _of_rollout("versions, steps, times and guard, as JSON"),
    "rollout.plait.dev/step": _of_rollout("which step the weights are of, from 0"),
    "rollout.plait.dev/reference": _of_rollout(
        "the old version's figures of the last step in which it had enough requests"
    ),
    "rollout.plait.dev/reason": _of_rollout("why it ended"),
    "plait.dev/owner": Note(
        on="any (a label)", writer="`plait apply --owner`", meaning="the set that an object belongs to, for `--prune`"
    ),
    "plait.dev/token": Note(
        on="Secret (its type)", writer="control", meaning="the record of a token; it holds a hash, never the token"
    ),
}
"""Every name below plait.dev/."""


def pages() -> dict[str, str]:
    """annotations.md."""
    asked = [
        [code(name), "Service", "you", f"{setting.meaning}: {setting.values}"] for name, setting in SETTINGS.items()
    ]
    rows = asked + [[code(name), note.on, note.writer, note.meaning] for name, note in ANNOTATIONS.items()]
    return {
        "annotations.md": page(
            "Annotations",
            "What the standards have no field for stands in annotations. Those that the node agent or control write are"
            " for reading only.",
            table(("Name", "On", "Written by", "Meaning"), rows),
        )
    }
