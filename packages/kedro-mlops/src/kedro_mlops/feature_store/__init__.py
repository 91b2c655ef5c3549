"""Features that a caller does not send: written by a pipeline, looked up by the service.

``online_store`` writes tables and is their catalog entry; ``reader`` looks up, with a reason for
what is missing; ``ttl_cache`` keeps what was read for a while. The reader needs no pandas.
"""
