"""What policies become in Envoy, one module a policy.

Rule: a policy that cannot be expressed closes what it guards, it never opens it.
"""
