{{#if ca_bundle}}
COPY vdeploy-context/ca-bundle.crt /usr/local/share/ca-certificates/vdeploy.crt
RUN if command -v update-ca-certificates >/dev/null; then update-ca-certificates; else mkdir -p /etc/ssl/certs && cat /usr/local/share/ca-certificates/vdeploy.crt >> /etc/ssl/certs/ca-certificates.crt; fi
ENV SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt" PIP_CERT="/etc/ssl/certs/ca-certificates.crt" REQUESTS_CA_BUNDLE="/etc/ssl/certs/ca-certificates.crt"
{{/if}}
{{#each args}}
ARG {{this}}
{{/each}}
