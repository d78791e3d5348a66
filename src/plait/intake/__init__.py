"""Reserved for receivers of traces, metrics and logs (OTLP, records of requests). Empty in this release.

Rule: converting is pure; receiving is its own layer above `telemetry`.
"""
