"""What a new project is asked, and what follows from the answers."""

import sys
from importlib.metadata import packages_distributions

# what is said of a part when somebody is asked, and what is taken if nobody is
PARTS = {
    "example": ("Keep the example project on data of its own", False),
    "kubernetes": ("Manifests for Kubernetes", True),
    "grafana": ("A dashboard for Grafana", True),
    "replay": ("Replays of a year, to compare policies of retraining", True),
    "notebooks": ("Notebooks", True),
}
# as Kedro makes one of the other; BentoML takes a Bento's name for a module's if there is one
FOLLOWING = {
    "repo_name": "{project_name}.strip().replace(' ', '-').replace('_', '-').lower()",
    "python_package": "{project_name}.strip().replace(' ', '_').replace('-', '_').lower()",
    "service": "{repo_name} if '-' in {repo_name} else {repo_name} ~ '-model'",
    "service_id": "{service}.replace('-', '_')",
}
NAMED_AFTER = "What is it called? Package, service, Bento, image and dashboard are named after it."
# longer ones would break lines, and so the formatting of code
LONGEST = 30
VALID_NAME = rf"^(?=.{{2,{LONGEST}}}$)[A-Za-z][A-Za-z0-9]*([ _-][A-Za-z0-9]+)*$"
INVALID_NAME = (
    f"A project's name has 2 to {LONGEST} letters and digits, with single spaces, hyphens or "
    "underscores between them, and begins with a letter."
)
TAKEN_NAME = "A package of the project's environment has that name: choose another."


def taken_names() -> list[str]:
    """Packages that a project's own would hide, or be hidden by."""
    own = {"benchmarks", "conf", "data", "docs", "notebooks", "src", "starter", "tests"}
    installed = {name.replace("-", "_") for name in packages_distributions()} - {"flight_delays"}
    distributions = {d.replace("-", "_") for ds in packages_distributions().values() for d in ds}
    names = own | installed | distributions | sys.stdlib_module_names
    return sorted({name.lower() for name in names if name.isidentifier()} - {"flight_delays"})
