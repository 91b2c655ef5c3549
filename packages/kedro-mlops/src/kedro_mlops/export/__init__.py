"""A fitted model in the form that serves: made once, and proved equal.

In comes a model package; out come the plain files of ``runtime`` (``serving_form.export``): trees
compiled from C where the model allows it, scikit-learn's own form otherwise.
"""
