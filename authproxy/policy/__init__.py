"""Access policies: rules read from files, a decision with its reason for each access. No I/O after loading."""
