"""The server of `allophone serve`.

`voices`, `orders` and `encoding` say what can be asked for; `scheduler` makes it; `openai`, `wyoming_api` and `app`
are the ways in.
"""
