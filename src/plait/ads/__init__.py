"""The aggregated discovery service: the delta protocol, its server, the connections of control, the relay of a machine.

Rule: knows resources as names, versions and bytes; what they mean is decided elsewhere.
"""
