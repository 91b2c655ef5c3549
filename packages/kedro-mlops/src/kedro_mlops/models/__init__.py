"""Models as artefacts: families, preprocessing, and packages that are loaded without pickle.

``package.ModelPackage`` is a model with all that must travel with it, ``metadata.Metadata`` what is
on record of it, ``decision.Decision`` what made it champion, ``families.FAMILIES`` what is tuned,
``datasets.ModelPackageDataset`` its catalog entry, ``released`` and ``stand_in`` the form of it
that BentoML's store holds, ``contributions`` what explains a linear one.
"""
