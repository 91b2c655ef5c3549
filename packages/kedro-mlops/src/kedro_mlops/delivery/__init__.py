"""A release brought to a cluster: manifests of an overlay come in; calls of kubectl go out.

``overlay`` builds what is applied, ``rollout`` walks the steps and goes back where one fails.
"""
