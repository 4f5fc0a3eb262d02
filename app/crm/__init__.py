"""The CRM, one package a domain: models, services (write), selectors (read), api, tasks, tests."""
