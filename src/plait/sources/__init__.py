"""Reserved for what feeds the store besides the API: folders of files, a Kubernetes cluster. Empty in this release.

Rule: a source writes documents as any client does, through the same admission.
"""
