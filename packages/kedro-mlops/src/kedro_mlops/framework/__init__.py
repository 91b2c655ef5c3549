"""What Kedro is given: hooks, session, configuration loader, resolvers, pipelines that load late.

A project names them in its ``settings.py`` and ``pipeline_registry.py``; hooks come by themselves.
"""
