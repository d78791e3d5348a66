"""Kinds of Istio's networking and security API, one a file.

Rule: each kind is read whole, as Istio defines it; what the mesh does not honour of it becomes a condition, never silence.
"""
