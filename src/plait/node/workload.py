"""One workload on this machine: its state, who listens to it, and what keeps it up.

`starting` brings it up, or adopts what an earlier agent started; `ending` ends it; `watch` asks its app. They all work
on this object, and what it decides is in `lifecycle`. All that outlives the agent is in the record on disk.
"""

import asyncio
import contextlib
import logging
import subprocess
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from plait.aio.supervise import supervise
from plait.errors import PlaitError, RefusedError
from plait.identity.svid import Svid
from plait.model.ids import ObjectName
from plait.model.services import Capture, Protocol
from plait.node import launches
from plait.node.app import Place
from plait.node.callers import Caller, User
from plait.node.certificates import Account, secrets
from plait.node.context import NodeContext
from plait.node.habitat import Habitat
from plait.node.lifecycle import Life
from plait.node.registrar import Registrar
from plait.node.registration import Phase, Registration
from plait.node.sidecar import Sidecar
from plait.node.state import read_json, write_json
from plait.node.workload_spec import WorkloadSpec

log = logging.getLogger(__name__)

_HOSTS_KEPT: Final = 500


class Workload:
    """A workload that runs here. Events of its life go to every queue in `listeners`."""

    def __init__(
        self, context: NodeContext, spec: WorkloadSpec, *, owner: Caller, user: User | None, capture: Capture
    ) -> None:
        self.context = context
        self.spec = spec
        self.owner = owner
        self.user = user
        self.capture = capture
        self.life = Life()
        self.habitat: Habitat | None = None
        self.sidecar: Sidecar | None = None
        self.launch: launches.Launch | None = None
        self.spawned: subprocess.Popen[bytes] | None = None
        self.protocols: dict[int, Protocol] = {}
        self.ports: tuple[int, ...] = ()
        self.environment = dict(spec.env)
        self.probe_result = ""
        self.failure: PlaitError | None = None
        self.identity: Svid | None = None
        self.steps: dict[str, float] = {}
        self.directory = context.directory.workload(spec.name)
        self.account = Account.of(spec.name, spec.service_account, self.directory)
        self.registrar = Registrar(context.control, spec.name.namespace, spec.name.name)
        self.listeners: set[asyncio.Queue[dict[str, Any]]] = set()
        self.beside: set[launches.Launch] = set()
        self.known = asyncio.Event()
        self.ended = asyncio.Event()
        self.finished = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._created = time.monotonic()

    @property
    def name(self) -> ObjectName:
        """Its name."""
        return self.spec.name

    @property
    def proxy(self) -> str:
        """The node id of its Envoy."""
        return str(self.spec.name)

    @property
    def gateway(self) -> str:
        """The Gateway it serves, `namespace/name`; empty for an app's sidecar."""
        return f"{self.name.namespace}/{self.spec.gateway}" if self.spec.gateway else ""

    @property
    def place(self) -> Place:
        """Where and as whom its app runs; refused while there is none."""
        node = self.context.directory
        hidden = (str(node.node), str(node.root / "control"))
        return Place(directory=self.directory, habitat=self.settled(), user=self.user, hidden=hidden)

    @property
    def envoy_pid(self) -> int:
        """The process number of its Envoy; 0 if there is none."""
        process = self.sidecar.process if self.sidecar is not None else None
        return process.pid if process is not None else 0

    def settled(self) -> Habitat:
        """Its habitat; refused while there is none."""
        if self.habitat is None:
            raise RefusedError(f"the workload {self.name} has not started yet", "try again in a moment")
        return self.habitat

    def use(self, identity: Svid) -> None:
        """Hand its Envoy this certificate, and the roots that are trusted now."""
        self.identity = identity
        self.context.relay.set_secrets(self.proxy, secrets(identity, self.context.bundle()))

    def done(self, step: str) -> None:
        """Note how long after its request a step of its start was done."""
        self.steps[step] = round(time.monotonic() - self._created, 4)

    def tell(self, event: str, **facts: Any) -> None:
        """Tell everybody who listens."""
        message = {"event": event, "name": self.name.name, "namespace": self.name.namespace, **facts}
        for queue in self.listeners:
            queue.put_nowait(message)

    def tell_ready(self) -> None:
        """Tell that callers may be sent to it."""
        self.tell("ready", address=self.settled().address, pid=self.life.pid)

    async def live(self, change: Callable[[Life], Life]) -> None:
        """Enter the next state of its life, and let others know."""
        before, life = self.life, change(self.life)
        self.life = life
        if before == life:
            return
        await self.publish()
        if life.published and not before.published:
            self.tell_ready()
        elif life.phase is not before.phase:
            self.tell("phase", phase=life.phase.value)

    async def publish(self) -> bool:
        """Bring its entry at control, and its record here, to what is true now; False if control is away."""
        if self.habitat is None or self.life.phase is Phase.EXITED:
            return False
        try:
            self.write_record()
        except OSError as error:
            if self.life.phase is Phase.PENDING:
                raise
            log.warning("%s is not written down, a restarted agent will not know it: %s", self.name, error)
        return await self.registrar.publish(self.registration().document())

    def registration(self) -> Registration:
        """What others must know of it now."""
        habitat = self.settled()
        return Registration(
            spec=self.spec,
            machine=self.context.machine,
            address=habitat.address,
            capture=habitat.capture,
            phase=self.life.phase,
            ready=self.life.published,
            netns=habitat.netns,
            pids=(self.life.pid, self.envoy_pid),
            outbound_port=habitat.outbound_port,
            ports=self.ports,
            protocols=self.protocols,
            published=habitat.published,
            sidecar_ports=habitat.sidecar_ports,
            publish=habitat.publish,
            gateway_ports=habitat.gateway_ports,
            proxy_generation=self.sidecar.reached if self.sidecar is not None else 0,
        )

    def write_record(self) -> None:
        """Write down what the next agent needs to take it up."""
        sidecar, user = self.sidecar, self.user
        write_json(
            self.directory.record,
            {
                "spec": self.spec.document(),
                "owner": self.owner.uid,
                "user": [user.uid, user.gid, list(user.groups)] if user is not None else None,
                "capture": self.capture.value,
                "habitat": self.settled().document(),
                **(sidecar.record() if sidecar is not None else {"envoy": None}),
                "protocols": {str(port): protocol.value for port, protocol in self.protocols.items()},
                "ports": list(self.ports),
                "answering": self.life.answering,
            },
        )

    def hosts(self) -> list[str]:
        """The names that it asked for, now and in earlier runs."""
        return [str(host) for host in read_json(self.directory.hosts).get("hosts", ())]

    def remember(self) -> None:
        """Keep the names that it asked for, to be sent ahead at its next start."""
        with contextlib.suppress(PlaitError):
            write_json(self.directory.hosts, {"hosts": sorted(self.context.relay.hosts(self.proxy))[:_HOSTS_KEPT]})

    def fail(self, error: PlaitError) -> None:
        """End it because it cannot go on."""
        self.failure = self.failure or error
        self.ended.set()

    def do(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something for it in the background, for as long as it lives."""
        task = asyncio.create_task(self._guarded(work), name=str(self.name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def rest(self) -> None:
        """End everything that is done in the background."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def detach(self) -> None:
        """Let go of it and leave it running for the next agent."""
        await self.rest()
        if self.sidecar is not None:
            await self.sidecar.detach()
        if self.launch is not None:
            self.launch.leave()

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except PlaitError as error:
            log.warning("%s: %s", self.name, error)
        except Exception as error:
            log.exception("the node agent failed for %s", self.name)
            if self.life.phase in (Phase.PENDING, Phase.WARMING):
                self.fail(PlaitError(f"the node agent failed for {self.name}: {error}", "see its log"))

    def keep_doing(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something for it for as long as it lives, again if it fails."""
        self.do(supervise(f"{what} of {self.name}", work))
