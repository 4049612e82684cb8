"""`ingress load`: a chatty fleet against any installation, and how much of it that takes.

Open-loop: when each message is due is decided before the first one is sent, and a slow answer moves
none of them. Latency counts from that moment on, so that a standstill shows in every message that
it held up (Gil Tene's "coordinated omission").

- `schedule`, `histogram`, `saturation`, `options`: pure
- `traffic`: what the vehicles say; `http_target`, `kafka_target`: where it goes
- `engine`: sends one step; `session`: the steps of a command, from the first look to the report
- `accounts`: what core says became of it; `report`, `view`, `plot`: what people get to see
"""
