"""The JSON of /plait/v1, in one place: what the command line prints with `-o json`.

Stable: fields are added, never changed. Names are lowerCamelCase as everywhere in the API.
"""

from plait.api.answers import Answer, Source
from plait.api.apply_answers import (
    ApplyAnswer,
    ApplyRequest,
    ApplyResult,
    Problem,
    RefusingProxy,
    ViolationAnswer,
    WaitAnswer,
    WaitRequest,
)
from plait.api.ca_answers import CaRoot, CaRotation, CaSigner, CaStatus
from plait.api.rehearsal_answers import Rehearsal, RehearsedCondition, RehearsedRefusal, RehearsedWorkload
from plait.api.status_answers import AdsStatus, ApiStatus, CaptureStatus, MetricsStatus, NodeStatus, ProxyCounts, Status
from plait.api.why_answers import WhyAnswer, WhyEndpoint, WhyQuestion, WhyStep
from plait.api.workload_answers import Edge, Proxy, RefusedResource, Workload, WorkloadPort

__all__ = [
    "AdsStatus",
    "Answer",
    "ApiStatus",
    "ApplyAnswer",
    "ApplyRequest",
    "ApplyResult",
    "CaRoot",
    "CaRotation",
    "CaSigner",
    "CaStatus",
    "CaptureStatus",
    "Edge",
    "MetricsStatus",
    "NodeStatus",
    "Problem",
    "Proxy",
    "ProxyCounts",
    "RefusedResource",
    "RefusingProxy",
    "Rehearsal",
    "RehearsedCondition",
    "RehearsedRefusal",
    "RehearsedWorkload",
    "Source",
    "Status",
    "ViolationAnswer",
    "WaitAnswer",
    "WaitRequest",
    "WhyAnswer",
    "WhyEndpoint",
    "WhyQuestion",
    "WhyStep",
    "Workload",
    "WorkloadPort",
]
