"""The page: what people see in a browser.

Each page asks the API's own functions as the person who is signed in, so that it shows and does what the API would, and
nothing is decided here or in a template.
"""
