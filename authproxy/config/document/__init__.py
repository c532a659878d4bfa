"""YAML documents for every reader of YAML: values with their lines, typed scalars, and a sentence for each fault."""
