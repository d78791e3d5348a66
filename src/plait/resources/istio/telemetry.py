"""telemetry.istio.io Telemetry.

https://istio.io/latest/docs/reference/config/telemetry/
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import IstioDuration
from plait.resources.istio.matches import Percentage
from plait.resources.istio.selectors import PolicyTargetReference, WorkloadSelector
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean, Finding, Model, choice, when

Text = Annotated[str, Field(min_length=1)]
WorkloadMode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
Metric = Literal[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
]


class ProviderRef(Model):
    """A provider of the mesh's settings."""

    name: Text
    """Its name."""


class ModeMatch(Model):
    """Which side of calls."""

    mode: WorkloadMode = "CLIENT_AND_SERVER"
    """The caller's, the server's, or both."""


class Literally(Model):
    """A fixed value."""

    value: Text
    """The value."""


class Environment(Model):
    """A variable of the environment."""

    name: Text
    """Its name."""
    default_value: str = ""
    """Value if it is missing."""


class RequestHeader(Model):
    """A header of the request."""

    name: Text
    """Its name."""
    default_value: str = ""
    """Value if it is missing."""


class CustomTag(Model):
    """A tag of spans."""

    literal: Literally | None = None
    """A fixed value."""
    environment: Environment | None = None
    """A variable of the environment."""
    header: RequestHeader | None = None
    """A header of the request."""
    formatter: Literally | None = None
    """Envoy's format."""

    def broken(self) -> Iterator[Finding]:
        """The value comes from one place."""
        yield from choice(
            ("literal", self.literal is not None),
            ("environment", self.environment is not None),
            ("header", self.header is not None),
            ("formatter", self.formatter is not None),
        )


class Tracing(Model):
    """How calls are traced."""

    match: ModeMatch | None = None
    """Which side of calls."""
    providers: tuple[ProviderRef, ...] = ()
    """Who gets the spans; one."""
    random_sampling_percentage: Percentage | None = None
    """Share of traces that are recorded, where the caller has not decided."""
    disable_span_reporting: Boolean | None = None
    """Whether spans are not sent."""
    custom_tags: dict[str, CustomTag] = Field(default_factory=dict[str, CustomTag])
    """Further tags of spans."""
    use_request_id_for_trace_sampling: Boolean | None = None
    """Whether x-request-id decides."""
    enable_istio_tags: Boolean | None = None
    """Whether spans have Istio's tags."""
    disable_context_propagation: Boolean | None = None
    """Whether the trace context is not passed on."""


class MetricSelector(Model):
    """Which metric, on which side."""

    metric: Metric | None = None
    """One of Istio's metrics."""
    custom_metric: Text | None = None
    """Another metric, by name."""
    mode: WorkloadMode = "CLIENT_AND_SERVER"
    """The caller's, the server's, or both."""

    def broken(self) -> Iterator[Finding]:
        """One metric is named."""
        yield from choice(("metric", self.metric is not None), ("customMetric", self.custom_metric is not None))


class TagOverride(Model):
    """A change of a tag."""

    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    """Set or remove it."""
    value: str | None = None
    """An expression for the value."""

    def broken(self) -> Iterator[Finding]:
        """A value belongs to UPSERT."""
        given = self.given("operation")
        missing = given and self.operation == "UPSERT" and not self.value
        yield from when(missing, "value must be set when operation is UPSERT", "value")
        odd = self.operation == "REMOVE" and self.value is not None
        yield from when(odd, "value must not be set when operation is REMOVE", "value")


class MetricsOverrides(Model):
    """A change of metrics."""

    match: MetricSelector | None = None
    """Which metrics."""
    disabled: Boolean | None = None
    """Whether they are left out."""
    tag_overrides: dict[str, TagOverride] = Field(default_factory=dict[str, TagOverride])
    """Changes of tags."""


class Metrics(Model):
    """Which metrics are kept."""

    providers: tuple[ProviderRef, ...] = ()
    """Who gets them."""
    overrides: tuple[MetricsOverrides, ...] = ()
    """Changes, in order."""
    reporting_interval: IstioDuration | None = None
    """Time between reports."""


class LogFilter(Model):
    """Which requests are logged."""

    expression: str = ""
    """A CEL expression."""


class AccessLogging(Model):
    """Which requests are logged, and where."""

    match: ModeMatch | None = None
    """Which side of calls."""
    providers: tuple[ProviderRef, ...] = ()
    """Who gets the records."""
    disabled: Boolean | None = None
    """Whether there is no log."""
    filter: LogFilter | None = None
    """Which requests."""


class TelemetrySpec(Model):
    """Specification of a Telemetry."""

    selector: WorkloadSelector | None = None
    """Workloads it is for; all of the namespace (of the mesh in istio-system) if left out."""
    target_ref: PolicyTargetReference | None = None
    """The object it is for (old form of targetRefs)."""
    target_refs: Annotated[tuple[PolicyTargetReference, ...], Field(max_length=16)] = ()
    """Objects it is for."""
    tracing: tuple[Tracing, ...] = ()
    """How calls are traced."""
    metrics: tuple[Metrics, ...] = ()
    """Which metrics are kept."""
    access_logging: tuple[AccessLogging, ...] = ()
    """Which requests are logged."""

    def broken(self) -> Iterator[Finding]:
        """It chooses workloads in one way; spans have one receiver."""
        ways = (self.selector is not None) + (self.target_ref is not None) + self.given("target_refs")
        yield from when(ways > 1, "only one of targetRefs or selector can be set")
        for index, tracing in enumerate(self.tracing):
            many = len(tracing.providers) > 1
            yield from when(many, "multiple providers is not currently supported", "tracing", index, "providers")


class Telemetry(KubernetesObject):
    """Traces, metrics and logs of workloads."""

    spec: TelemetrySpec = TelemetrySpec()
    """Specification."""
