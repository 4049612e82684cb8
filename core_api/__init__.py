"""The HTTP door and the read API: FastAPI on uvicorn. `ingress api`, `ingress keys`."""
