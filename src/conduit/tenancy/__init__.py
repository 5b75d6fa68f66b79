"""Who may do what: tenants, API keys, tokens, tickets, and the record of what was done."""
