"""From this repository as it is, what new projects are made of.

``contents`` gathers the files, with the places where they depend on an answer; ``kedro`` and
``copier`` write them as the two know templates. In ``project`` are the files that take the place of
the template's own in every new project, in ``empty`` those that take the place of the example's.
"""
