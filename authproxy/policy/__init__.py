"""Access policies: rules from files, and a decision with its reason for each access. No I/O after loading."""

from pathlib import Path

# The policy that a first start writes into an empty `policies/` folder: a copy of the repository's
# policies/default.yaml, which is not in the wheel.
DEFAULT_POLICY: str = Path(__file__).with_name("default.yaml").read_text(encoding="utf-8")
