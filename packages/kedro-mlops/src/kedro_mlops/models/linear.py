"""Linear models as they are served: what is said of a row does not depend on the others."""

from scipy.sparse import csr_matrix
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

LINEAR = LogisticRegression | LinearRegression | Ridge | ElasticNet


def row_by_row(estimator: Pipeline) -> Pipeline:
    """A fitted pipeline that says the same of a row to the last bit, whatever rows it is among.

    BLAS adds products of matrices in an order that depends on how many rows there are; those of
    sparse matrices are added row by row. Models that are not linear are left as they are.
    """
    if not isinstance(estimator[-1], LINEAR):
        return estimator
    *preprocessing, model = estimator.steps
    return Pipeline([*preprocessing, ("rows", FunctionTransformer(csr_matrix)), model])
