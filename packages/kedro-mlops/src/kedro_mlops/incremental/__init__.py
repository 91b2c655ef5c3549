"""Runs of what has changed: ``kedro run --changed``.

In comes a pipeline, with what each of its nodes was made of when it ran last; out come the nodes
that have to run again, with the reason. Public: ``runner.ChangedRunner``, ``recorder.recorder``.
"""
