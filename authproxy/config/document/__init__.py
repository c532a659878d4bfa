"""YAML documents and their values, whoever reads them: places, typed scalars, and faults as one sentence each."""
