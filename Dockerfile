# billrecon as a container: one binary on a base without a shell, as a user without a name.
#
# In: this repository (see .dockerignore). Out: an image whose only program is /usr/local/bin/billrecon. It writes to /data and nowhere
# else, so its root file system can be read-only. Never holds a secret or a configuration: both are mounted.

# A base without a shell, with libc and root certificates only, under the name by which your builds reach it: where it lies elsewhere, say so
# with --build-arg RUNTIME=HOST/distroless/cc-debian12:nonroot.
ARG RUNTIME=distroless/cc-debian12:nonroot

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
# The layer of the dependencies: it is built anew only when the manifests change. Sources that do nothing stand for ours.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches tests/it \
    && touch src/lib.rs \
    && for file in src/main.rs tests/it/main.rs benches/close.rs benches/simulate.rs benches/stripe.rs; do \
        echo 'fn main() {}' > "$file"; \
    done \
    && cargo build --release --locked --bin billrecon
COPY migrations migrations
COPY src src
# Younger than what was built of the stand-ins.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin billrecon \
    && mkdir /data

FROM ${RUNTIME}
COPY --from=build /build/target/release/billrecon /usr/local/bin/billrecon
COPY --from=build --chown=65532:65532 /data /data
# As a number, so that a cluster can see that it is not root.
USER 65532:65532
WORKDIR /data
VOLUME /data
ENTRYPOINT ["/usr/local/bin/billrecon"]
# No HEALTHCHECK: `run` and `guard` end by themselves, and of those that should have run tells `BILLRECON_PING_URL`.
CMD ["--help"]
