# deploy-action: one static binary and the CA roots, nothing else. `.ci/image` prepares dist/ and builds this.
FROM scratch

# linux/amd64 and linux/arm64: docker and buildah set it.
ARG TARGETARCH

LABEL org.opencontainers.image.title="deploy-action" \
      org.opencontainers.image.description="Carries out a deployment runbook on Azure Container Instances behind Azure Traffic Manager" \
      org.opencontainers.image.source="https://github.com/nextgen/deploy-action" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# The folder as it is: /deploy-action, and /deploy-action-resume, a link to it that action.yml names as post-entrypoint.
COPY dist/${TARGETARCH}/ /
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

# No USER: GitHub's runner mounts GITHUB_OUTPUT and its other files for root. No shell, so signals reach the binary itself.
ENTRYPOINT ["/deploy-action"]
