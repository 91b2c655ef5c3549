"""A fitted model in the form that serves: made once, and proved equal."""
