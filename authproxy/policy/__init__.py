"""Access policies: rules from files, and a decision with its reason for each access. No I/O after loading."""

from importlib.resources import files

# The policy that a first start writes into an empty `policies/` folder: a copy of the repository's
# policies/default.yaml, which is not in the wheel.
DEFAULT_POLICY: str = files(__name__).joinpath("default.yaml").read_text(encoding="utf-8")
