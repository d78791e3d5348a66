"""The node agent of one machine: places of workloads, sidecars, names, certificates, the order of lives.

Rule: what starts a workload loads the standard library only; pydantic and FastAPI are never loaded here. Apps outlive
the agent: what must survive it is on disk, and decisions are functions of that and of what the machine shows.
"""
