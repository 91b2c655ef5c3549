"""Features that a caller does not send: written by a pipeline, looked up by the service.

``point_in_time`` makes tables, and joins them to the rows to learn from; ``online_store`` writes
them and is their catalog entry; ``reader`` looks up, with a reason for
what is missing; ``ttl_cache`` keeps what was read for a while. The reader
needs no pandas.
"""
