"""A model as the service needs it: plain files, read without pandas, Pandera or scikit-learn.

``serving_spec.ServingSpec`` says all that is served by; ``field_types`` are its fields as Pydantic
judges them; ``encoding`` makes numbers of rows, and ``trees`` probabilities of numbers.
"""
