"""What is wrong across resources: pure functions from a set of objects to findings (`analyze.py` lists them).

The functions over telemetry that come later (who calls whom, what caused it) belong here too.

Rule: the only place where telemetry and resources meet.
"""
