"""The physics of a made-up electric bus: roads, motion, battery, sensors, and its working day."""
