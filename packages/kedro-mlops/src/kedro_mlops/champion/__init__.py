"""The one model that serves: what it is and was, promotion and rollback by people, reproduction."""
