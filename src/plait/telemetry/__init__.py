"""Reserved for traces, metrics and logs as records: their schema, writing and reading. Empty in this release.

Rule: knows no `resources`; the two meet in `analysis`.
"""
