# Wellspring as one image: the command says which part of it runs.

FROM node:22-slim AS playground
WORKDIR /playground/page
COPY api/playground/page/package.json api/playground/page/package-lock.json \
     api/playground/page/.npmrc ./
RUN npm ci
COPY api/playground/ /playground/
RUN npm run build

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv .venv
COPY requirements.txt .
RUN .venv/bin/python -m pip install --require-hashes --requirement requirements.txt
COPY . .
COPY --from=playground /playground/dist api/playground/dist
RUN .venv/bin/python -m pip install --no-build-isolation --no-deps --editable .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /app --no-create-home wellspring
WORKDIR /app
# The code stays root's; the process may write under var/ alone.
COPY --from=build /app /app
RUN install --directory --owner wellspring --group wellspring --mode 0700 var var/assets
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WELLSPRING_HOST=0.0.0.0
USER wellspring
EXPOSE 8000
CMD ["wellspring", "serve"]
