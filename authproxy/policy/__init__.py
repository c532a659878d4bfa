"""Access policies: rules read from files, a decision with its reason for each access. No I/O after loading."""

from importlib.resources import files

# What a first start writes into a `policies/` folder that has none. Byte for byte the tracked policies/default.yaml,
# which a wheel does not carry.
DEFAULT_POLICY: str = files(__name__).joinpath("default.yaml").read_text(encoding="utf-8")
