"""The API over HTTP: Kubernetes-shaped objects, our own views below `/plait/v1`, and the client of both.

Rule: shapes of requests and answers only. What an object means, who may do what and what runs is asked of `backend`.
"""
