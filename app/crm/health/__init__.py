"""Is this process alive, is it ready for requests, does the whole CRM work?"""
