"""One row for every prediction: written before it is answered, taken into a table once.

``writer`` appends for the service; ``files`` and ``parts`` know what is in the log and what is new;
``datasets`` are the catalog entries of both; ``contract`` has the columns that the log adds.
"""
