"""Kinds of Istio's networking and security API, one a file.

Rule: each kind is read whole, as Istio defines it; what the mesh does not honour is told, never dropped in silence.
"""
