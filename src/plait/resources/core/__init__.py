"""Kinds of Kubernetes itself that the mesh reads, one a file.

Rule: field names, defaults and limits are those of Kubernetes' own API.
"""
