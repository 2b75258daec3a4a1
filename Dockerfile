# The studio on a CPU: `docker build -t gift-studio .`, then
# `docker run -p 127.0.0.1:7860:7860 -e GIFT_SECRET -v gift-data:/home/user/data gift-studio`.
# Inside a container it has to listen on every address, and then it wants to know who asks: without GIFT_SECRET, the
# password of the account admin, it does not start. On a Hugging Face Space people sign in with the Hub instead.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/studio
ENV PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GIFT_HOST=0.0.0.0 \
    GIFT_PORT=7860 \
    GIFT_DATA_DIR=/home/user/data

# Dependencies first: they change less often than the code. torch's default build brings CUDA; for a smaller image pass
# `--build-arg PIP_EXTRA_INDEX_URL=` with PyTorch's index of CPU builds.
ARG PIP_EXTRA_INDEX_URL=""
COPY --chown=user requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY --chown=user pyproject.toml README.md LICENSE app.py ./
COPY --chown=user gift_core gift_core
COPY --chown=user workers workers
COPY --chown=user api api
COPY --chown=user ui ui
RUN pip install --no-cache-dir --no-deps --editable . && mkdir -p /home/user/data

EXPOSE 7860
HEALTHCHECK CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=3)"
# The kernel drops a signal that comes to the first process before it has a handler; a blocked one waits for that.
CMD ["env", "--block-signal=TERM,INT", "python", "app.py"]
