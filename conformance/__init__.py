"""Conformance: what Gateway API promises, held against a running Plait without Kubernetes. See `__main__`."""
