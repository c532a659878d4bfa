"""Would another registry take our tokens? Its configuration, its version and the registry itself are asked."""
