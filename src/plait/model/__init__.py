"""The mesh as frozen dataclasses: what is known, in the field's own words, independent of how it was written.

Rule: imports nothing of Plait but `errors`; does no I/O; every value is immutable and hashable.
"""
