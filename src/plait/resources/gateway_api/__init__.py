"""Kinds of the Gateway API, one a file, with the validation of its released definitions.

Rule: a value that the standard's own definition refuses is refused here, in the standard's words.
"""
