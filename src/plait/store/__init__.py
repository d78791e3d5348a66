"""Documents with revisions: one protocol, kept in memory or in SQLite.

Rule: a document is plain JSON whose meaning is unknown here; a write is compared with the revision that it was made
from, and is on disk before it is answered.
"""
