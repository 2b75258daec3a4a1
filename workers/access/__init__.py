"""How people and programs are identified: what proves an account, browser sessions, and what ends them."""
