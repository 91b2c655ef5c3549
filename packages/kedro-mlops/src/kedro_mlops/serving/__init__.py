"""The BentoML service of a release.

In come requests over HTTP; out come predictions, each logged before it is answered. A project names
``service.create_service``; ``gateway`` stands before BentoML's application and answers what it can
through ``app_state``; rows are read one by one (``reading``) or in bulk (``bulk_reading``,
``arrow_stream``, ``json_rows``), and refused (``refusals``) as RFC 9457 says
(``problem_details``). What is answered is declared in ``answers``.
"""
