"""The server of `allophone serve`.

`voices`, `orders`, `speaking` and `encoding`: what is asked for, and how it becomes audio. `scheduler`: whose turn it is.
`service`: what all ways in share. `openai_speech`, `websocket` and `wyoming_server`: the ways in.
"""
