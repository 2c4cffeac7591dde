# The service in a container: docker build -t ai-chat .
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --system --uid 10001 --home-dir /data chat && install -d -o chat -g chat -m 0700 /data
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
# Bytecode cannot be written later: the code belongs to root, the service runs as somebody else.
RUN python -m compileall -q accounts chat chatproject providers

USER chat
ENV HOST=0.0.0.0 PORT=8000 DATA_DIR=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]

# The process itself, not a shell: it has to hear the signal to stop.
CMD ["python", "-m", "chatproject.launch"]
