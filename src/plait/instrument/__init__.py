"""Reserved for what is loaded into a user's own process. Empty in this release.

Rule: standard library only, and never the reason that an app fails.
"""
