"""Envoy's words: resource types, names, message builders, resource sets and a simulation of where a call goes.

Rule: no I/O, no asyncio; names are built and parsed only in `names`.
"""
