"""Explains pictures on many machines at once, with Ray."""

from gradcam_cli.cluster.run import LOCAL, ClusterRun, explain_on_cluster

__all__ = ["LOCAL", "ClusterRun", "explain_on_cluster"]
