# Two images of one source: the edge (`publisher`) and core (`core`). The publisher's image holds no
# Postgres driver and no web framework; it also serves `ingress fleet` and `ingress simulator`.
#
#   docker build --target publisher --tag telematics-ingress/publisher:local .
#   docker build --target core --tag telematics-ingress/core:local .
#
# Packages are the pinned ones of requirements/, with hashes, as wheels: nothing is compiled.

FROM python:3.13-slim-trixie AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM python AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/ingress

FROM packages AS wheel
COPY requirements/build.txt requirements/
RUN pip install --require-hashes --requirement requirements/build.txt
COPY . .
RUN python -m hatchling build --target wheel --directory /wheel

FROM packages AS publisher-packages
COPY requirements/publisher.txt requirements/
RUN pip --python /opt/ingress/bin/python install --require-hashes \
        --requirement requirements/publisher.txt
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/ingress/bin/python install --no-deps --no-index /wheel/*.whl

FROM packages AS core-packages
COPY requirements/core.txt requirements/
RUN pip --python /opt/ingress/bin/python install --require-hashes \
        --requirement requirements/core.txt
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/ingress/bin/python install --no-deps --no-index /wheel/*.whl

# A named volume takes its owner from the directory that it is first mounted over.
FROM python AS runtime
ENV PATH=/opt/ingress/bin:$PATH
RUN groupadd --gid 10001 ingress \
    && useradd --uid 10001 --gid ingress --no-create-home --home-dir /var/lib/ingress \
        --shell /usr/sbin/nologin ingress \
    && install --directory --owner ingress --group ingress --mode 0755 \
        /var/lib/ingress /var/lib/ingress/fleet /secrets /secrets/database \
    && install --directory --owner ingress --group ingress --mode 0700 \
        /var/lib/ingress/journals /secrets/core /secrets/edge /secrets/operator
WORKDIR /var/lib/ingress
USER 10001:10001

FROM runtime AS publisher
LABEL org.opencontainers.image.title="telematics-ingress publisher" \
      org.opencontainers.image.description="Provider websockets into a journal, and from there to core" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=publisher-packages /opt/ingress /opt/ingress
EXPOSE 9464
CMD ["ingress", "publisher", "run"]

FROM runtime AS core
LABEL org.opencontainers.image.title="telematics-ingress core" \
      org.opencontainers.image.description="Ingest API and Kafka consumer over one idempotent handler and Postgres" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=core-packages /opt/ingress /opt/ingress
EXPOSE 8080 9465
CMD ["ingress", "api"]
