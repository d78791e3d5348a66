"""What users write: objects of Kubernetes, Gateway API and Istio, read from YAML with the line of every field.

Rule: a mistake is a `Violation`, all of them at once and in the user's words; nothing here knows the mesh as a whole.
"""
