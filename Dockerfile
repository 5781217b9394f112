# The server as an image: `docker build -t slipway .`, or with podman and buildah. docs/guides/containers.md shows how to run it.
#
# BASE may be any glibc image with /bin/sh. With Node 24 or newer in it, that one is used; without, Node comes from the npm package
# `node` at the version of the lock file (the build then installs Debian's npm in a stage of its own that is thrown away).
ARG BASE=docker.io/library/node:24-bookworm-slim

FROM ${BASE} AS build
# Another registry than npm's own, when given; npm reads it from its environment.
ARG NPM_CONFIG_REGISTRY
RUN command -v npm >/dev/null || { apt-get update && apt-get install -y --no-install-recommends ca-certificates nodejs npm; }
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY sdk/package.json sdk/
COPY console/package.json console/
# onnxruntime-node would otherwise fetch CUDA libraries from outside the npm registry.
RUN ONNXRUNTIME_NODE_INSTALL=skip npm ci --no-audit --no-fund --loglevel=error
COPY . .
RUN node_modules/node/bin/node scripts/build.ts
RUN set -eu; \
    mkdir -p /out/node_modules /node; \
    cp -a node_modules/node/. /node/; \
    npm prune --omit=dev --no-audit --no-fund --loglevel=error --ignore-scripts; \
    rm -rf node_modules/.bin node_modules/.cache node_modules/@slipway; \
    cp -a node_modules/. /out/node_modules/; \
    cp -a package.json LICENSE SECURITY.md CHANGELOG.md bin dist examples /out/; \
    # onnxruntime-node carries five platforms in one package; this image is one of them.
    for platform in /out/node_modules/onnxruntime-node/bin/napi-v*/*/*; do \
      case "$platform" in */linux/"$(/node/bin/node -p process.arch)") ;; *) rm -rf "$platform" ;; esac; \
    done; \
    find /out/node_modules \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete; \
    find /out/node_modules -depth -type d -empty -delete; \
    # The base's own Node serves where it is new enough; bin/node-24 looks for this one first.
    if [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 24')" != true ] || [ "$(command -v node)" = /usr/bin/node ]; then \
      mkdir -p /out/node_modules/node/bin && cp /node/bin/node /out/node_modules/node/bin/node; \
    fi

FROM ${BASE}
COPY --from=build --chown=0:0 /out /app
# One volume holds everything that is written; the rest of the file system may be read-only.
RUN mkdir -p /data && chown 10001:10001 /data && chmod 700 /data && ln -s /app/bin/slipway /usr/local/bin/slipway
# Reachable from outside the container, therefore predictions need a key. `slipway keys create` makes one; the admin key is in the first
# start's output and in /data/admin.key.
ENV NODE_ENV=production \
    SLIPWAY_DATA=/data \
    SLIPWAY_HOST=0.0.0.0 \
    SLIPWAY_INFERENCE_AUTH=required
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 8081 8082
# Both listeners have to answer. By the image's Node, because a slim base has no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/app/bin/node-24", "-e", "const p = process.env; Promise.all([`http://127.0.0.1:${p.SLIPWAY_CONTROL_PORT ?? 8082}/healthz`, `http://127.0.0.1:${p.SLIPWAY_HTTP_PORT ?? 8080}/v2/health/live`].map(async (u) => { if ((await fetch(u)).status >= 500) throw u; })).catch(() => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/app/bin/slipway"]
CMD ["serve", "--no-sample"]
