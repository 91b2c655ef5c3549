"""A model as the service needs it: plain files, read without pandas, Pandera or scikit-learn."""
