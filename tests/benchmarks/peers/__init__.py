"""The same five requests as users of other frameworks would write them, beside `endpoint.py`.

Each verifies the caller's token and reads the items of our table that ours reads, in as many calls.
"""
