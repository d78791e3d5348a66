"""Reserved for pure functions over telemetry: who calls whom, what changed, what caused it. Empty in this release.

Rule: the only place where telemetry and resources meet.
"""
