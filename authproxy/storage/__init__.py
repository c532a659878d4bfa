"""Where content lives: drivers behind one Protocol, and the layout of paths that CNCF Distribution shares with us."""
