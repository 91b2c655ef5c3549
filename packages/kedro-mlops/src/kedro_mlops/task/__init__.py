"""What a model is asked: one of two classes, one of several, or a number; and all that follows.

In come labels and what models say of rows (scores); out come what is answered (``outputs``, which
needs NumPy alone, as a service has no more), and how that is learned, measured, decided and
estimated (``Binary``, ``Multiclass``, ``Regression``, each a ``Task``). A contract knows its task;
no other room asks which it is.
"""
