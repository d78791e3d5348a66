"""Who is who: SPIFFE IDs, the certificate authority, keys and certificates, join tokens, attestation of processes.

Rule: keys are made where they are used and never travel; nothing here prints or logs a secret.
"""
