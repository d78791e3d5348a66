"""From the view of one proxy to Envoy's resources: `compile` lists the steps.

Rule: reads nothing but the view, so an equal view is compiled once and nothing of another workload can leak in. Equal
input gives equal bytes.
"""
