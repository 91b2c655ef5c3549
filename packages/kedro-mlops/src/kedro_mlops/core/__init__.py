"""What all rooms stand on: errors, moments, files, records, the project's place, one run at a time.

Nothing here knows of models. ``errors`` are those that people are told; ``time_params`` are the
parameters as-of, horizon and window; ``files`` are whole or absent; ``artefacts`` are
what nodes hand on, typed; ``datasets`` keep them, grow, or may miss.
"""
