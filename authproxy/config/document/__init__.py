"""YAML documents for all parts that read YAML: values with their lines, typed scalars, and a message for each fault."""
