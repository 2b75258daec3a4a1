# The studio on a CPU: `docker build -t gift-studio .`, then
# `docker run -p 127.0.0.1:7860:7860 -e GIFT_SECRET -v gift-data:/home/user/data gift-studio`.
# Inside a container it has to listen on every address, and then it wants to know who asks: without GIFT_SECRET, the
# password of the account admin, it does not start. On a Hugging Face Space people sign in with the Hub instead.
#
# The image's tag names one version. A tag can be moved, a digest cannot: docs/operations.md says how to build on one.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
FROM ${PYTHON_IMAGE}

# As the first process of a container tini passes signals on, and ends what the processes of jobs leave behind.
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 user
USER user
# Made by the user: a builder may give root a folder that WORKDIR makes. A new volume takes over owner and mode of the
# folder that it covers.
RUN mkdir /home/user/studio && mkdir -m 700 /home/user/data
WORKDIR /home/user/studio
ENV PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GIFT_HOST=0.0.0.0 \
    GIFT_PORT=7860 \
    GIFT_DATA_DIR=/home/user/data

# Dependencies first: they change less often than the code. torch's default build brings CUDA; for a smaller image pass
# `--build-arg PIP_EXTRA_INDEX_URL=` with PyTorch's index of CPU builds.
ARG PIP_EXTRA_INDEX_URL=""
COPY --chown=1000:1000 requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY --chown=1000:1000 pyproject.toml README.md LICENSE app.py ./
COPY --chown=1000:1000 gift_core gift_core
COPY --chown=1000:1000 workers workers
COPY --chown=1000:1000 api api
COPY --chown=1000:1000 ui ui
RUN pip install --no-cache-dir --no-deps --editable .

EXPOSE 7860
# Asks where the settings say that the studio listens, GIFT_PORT among them.
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s CMD ["python", "-m", "workers.startup.answering"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "app.py"]
