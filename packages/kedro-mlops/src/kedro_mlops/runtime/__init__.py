"""A model as the service needs it: plain files, read without pandas, Pandera or scikit-learn.

``serving_spec.ServingSpec`` says all that is served by; ``kinds`` and ``checks`` are the tables of
what its fields hold and must keep; ``field_types`` are these fields as Pydantic judges them;
``encoding`` makes numbers of rows, and ``trees`` predictions of numbers, and tells what each of
them contributed.
"""
