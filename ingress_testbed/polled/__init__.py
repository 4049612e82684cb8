"""Providers to poll: Geotab, Samsara, rFMS 4.0 and ViriCiti's REST API, over one fleet.

`app.application(app.Simulation(frames))` is an ASGI application of a recording's frames. Each provider knows the vehicles
by ids of its own, samples the same truth in its own way, and gets to know a thing some time after
it happened. Where a provider's documentation leaves something open, the module of the provider
says what is assumed here.
"""
