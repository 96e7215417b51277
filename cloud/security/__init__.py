"""Who may talk to this cloud, about what and how much: TLS, tokens, quotas, and the guard before every RPC."""
