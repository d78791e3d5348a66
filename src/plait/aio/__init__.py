"""Small pieces of asynchronous plumbing: the newest value wins, signals are bundled, tasks are supervised.

Rule: knows nothing of meshes; every task lives in a task group.
"""
