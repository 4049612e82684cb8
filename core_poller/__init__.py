"""The schedule's door: will call providers' HTTP APIs and hand what they answer to the handler.

Holds nothing yet. Websocket providers enter by `telematics_publisher`.
"""
