FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[all]" \
    && rm -r /wheels \
    && useradd --system --uid 10001 --no-create-home bridge
USER 10001
WORKDIR /etc/tom-bridge
ENV PYTHONUNBUFFERED=1 TOM_BRIDGE_CONFIG=/etc/tom-bridge/bridge.toml
ENTRYPOINT ["tom-bridge"]
CMD ["--help"]
